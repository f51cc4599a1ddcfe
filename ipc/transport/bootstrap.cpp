// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/bootstrap.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>

#include "rankexec/core/model/wiping.hpp"

namespace rankexec {
namespace {

/// Fields one after the other: integers little-endian, text as u32 length and bytes. A format of its
/// own, because the secret must not pass through buffers that a general encoder leaves behind.
struct Writer {
    void number(std::uint64_t value, int bytes) {
        for (int index = 0; index < bytes; ++index)
            out.push_back(static_cast<std::byte>(value >> (8U * static_cast<unsigned>(index))));
    }
    void text(std::string_view value) {
        number(value.size(), 4);
        bytes(std::as_bytes(std::span(value.data(), value.size())));
    }
    void bytes(std::span<const std::byte> value) { out.insert(out.end(), value.begin(), value.end()); }
    WipedBytes out;
};

class Reader {
public:
    explicit Reader(std::string_view in) : in_(in) {}

    std::uint64_t number(int bytes) {
        if (!take(static_cast<std::size_t>(bytes))) return 0;
        std::uint64_t value = 0;
        for (int index = bytes - 1; index >= 0; --index) {
            value = value << 8U | static_cast<unsigned char>(taken_[static_cast<std::size_t>(index)]);
        }
        return value;
    }
    std::string text() {
        const auto size = number(4);
        return take(size) ? std::string(taken_) : std::string();
    }
    std::span<const std::byte> bytes(std::size_t size) {
        if (!take(size)) return {};
        return std::as_bytes(std::span(taken_.data(), taken_.size()));
    }
    [[nodiscard]] bool complete() const { return ok_ && in_.empty(); }
    [[nodiscard]] bool ok() const { return ok_; }

private:
    bool take(std::size_t size) {
        if (!ok_ || size > in_.size()) {
            ok_ = false;
            return false;
        }
        taken_ = in_.substr(0, size);
        in_.remove_prefix(size);
        return true;
    }
    std::string_view in_;
    std::string_view taken_;
    bool ok_ = true;
};

tl::unexpected<std::string> malformed(const char* why) { return tl::unexpected<std::string>(why); }

constexpr std::uint64_t kFormat = 1;
constexpr std::size_t kMaxAddresses = 64;
constexpr std::size_t kMaxText = std::size_t{64} << 10U;

}  // namespace

std::string_view to_string(ChannelKind kind) noexcept {
    switch (kind) {
        case ChannelKind::execution: return "execution";
        case ChannelKind::handler: return "handler";
        case ChannelKind::relay: return "relay";
        case ChannelKind::supervision: return "supervision";
    }
    return "unknown";
}

std::string Bootstrap::ipc_endpoint(ChannelKind kind) const {
    return "ipc://" + run_directory + "/" + std::string(to_string(kind));
}

std::string Bootstrap::tcp_endpoint(ChannelKind kind, std::string_view address) const {
    const auto port = ports.at(static_cast<std::size_t>(kind));
    const bool six = address.find(':') != std::string_view::npos;
    return "tcp://" + (six ? "[" + std::string(address) + "]" : std::string(address)) + ":" + std::to_string(port);
}

Bootstrap Bootstrap::for_rank(int rank_number) const {
    Bootstrap copy = *this;
    copy.rank = rank_number;
    copy.secret = PeerCredentials::derive(secret, PeerRole::rank, rank_number).secret;
    return copy;
}

std::string Bootstrap::to_text() const {
    Writer writer;
    writer.number(kFormat, 1);
    writer.text(run_id);
    writer.number(incarnation, 4);
    writer.number(static_cast<std::uint32_t>(world_size), 4);
    writer.number(static_cast<std::uint32_t>(rank), 4);
    writer.bytes(secret.bytes());
    writer.bytes(server_key);
    writer.text(host_identity);
    writer.text(run_directory);
    writer.number(addresses.size(), 4);
    for (const auto& address : addresses) writer.text(address);
    writer.number(ports.size(), 4);
    for (const auto port : ports) writer.number(static_cast<std::uint64_t>(port), 2);
    writer.number(static_cast<std::uint64_t>(heartbeat_timeout.count()), 8);

    const auto length = sodium_base64_encoded_len(writer.out.size(), sodium_base64_VARIANT_URLSAFE);
    std::string text(length, '\0');
    sodium_bin2base64(text.data(), length, reinterpret_cast<const unsigned char*>(writer.out.data()), writer.out.size(),
                      sodium_base64_VARIANT_URLSAFE);
    text.pop_back();
    return text;
}

tl::expected<Bootstrap, std::string> Bootstrap::from_text(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    if (text.empty()) return malformed("bootstrap: empty");
    if (text.size() > kMaxText) return malformed("bootstrap: over 64 KiB");
    WipedBytes binary(text.size());
    std::size_t size = 0;
    const char* end = nullptr;
    if (sodium_base642bin(reinterpret_cast<unsigned char*>(binary.data()), binary.size(), text.data(), text.size(),
                          nullptr, &size, &end, sodium_base64_VARIANT_URLSAFE) != 0 ||
        end != text.data() + text.size()) {
        return malformed("bootstrap: not base64");
    }
    Reader reader({reinterpret_cast<const char*>(binary.data()), size});
    if (reader.number(1) != kFormat) return malformed("bootstrap: unknown format");
    auto run_id = reader.text();
    const auto incarnation = static_cast<std::uint32_t>(reader.number(4));
    const auto world_size = static_cast<std::int32_t>(reader.number(4));
    const auto rank = static_cast<std::int32_t>(reader.number(4));
    const auto secret = reader.bytes(Secret::kSize);
    if (!reader.ok()) return malformed("bootstrap: truncated");
    Bootstrap result{std::move(run_id),
                     incarnation,
                     world_size,
                     rank,
                     Secret::copy_of(secret.first<Secret::kSize>()),
                     {},
                     {},
                     {},
                     {},
                     {}};
    const auto key = reader.bytes(result.server_key.size());
    if (reader.ok()) std::memcpy(result.server_key.data(), key.data(), key.size());
    result.host_identity = reader.text();
    result.run_directory = reader.text();
    const auto addresses = reader.number(4);
    if (addresses > kMaxAddresses) return malformed("bootstrap: too many addresses");
    for (std::uint64_t index = 0; index < addresses && reader.ok(); ++index) result.addresses.push_back(reader.text());
    const auto ports = reader.number(4);
    if (ports > 4) return malformed("bootstrap: too many ports");
    for (std::uint64_t index = 0; index < ports; ++index) result.ports.push_back(static_cast<int>(reader.number(2)));
    const auto heartbeat = reader.number(8);
    if (heartbeat > std::numeric_limits<std::int32_t>::max()) return malformed("bootstrap: heartbeats out of range");
    result.heartbeat_timeout = std::chrono::milliseconds(heartbeat);
    if (!reader.complete()) return malformed("bootstrap: truncated, or bytes are left over");
    if (world_size < 1 || rank < -1 || rank >= world_size) return malformed("bootstrap: rank out of range");
    return result;
}

std::string host_identity() {
    std::string boot;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
    struct stat status {};
    if (::stat("/proc/self/ns/net", &status) != 0) return boot;
    return boot + ":" + std::to_string(status.st_ino);
}

std::string host_name() {
    char name[256] = {};
    if (::gethostname(name, sizeof name - 1) != 0) return "unknown";
    return name;
}

std::vector<std::string> interface_addresses() {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return {"127.0.0.1"};
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
    std::vector<std::string> addresses;
    bool loopback = false;
    for (const auto* entry = list; entry != nullptr; entry = entry->ifa_next) {
        if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0 || entry->ifa_addr->sa_family != AF_INET) {
            continue;
        }
        if ((entry->ifa_flags & IFF_LOOPBACK) != 0) {
            loopback = true;
            continue;
        }
        char text[INET_ADDRSTRLEN] = {};
        const auto* address = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
        if (::inet_ntop(AF_INET, &address->sin_addr, text, sizeof text) != nullptr) addresses.emplace_back(text);
    }
    if (loopback && addresses.size() < kMaxAddresses) addresses.emplace_back("127.0.0.1");
    if (addresses.size() > kMaxAddresses) addresses.resize(kMaxAddresses);
    return addresses;
}

}  // namespace rankexec
