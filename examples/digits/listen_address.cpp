// SPDX-License-Identifier: Apache-2.0
#include "listen_address.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string_view>

namespace digits {
namespace {

constexpr const char* kLoopback = "127.0.0.1";

template <typename T, void (*Free)(T*)>
struct FreeWith {
    void operator()(T* pointer) const { Free(pointer); }
};
using AddressList = std::unique_ptr<addrinfo, FreeWith<addrinfo, ::freeaddrinfo>>;
using InterfaceList = std::unique_ptr<ifaddrs, FreeWith<ifaddrs, ::freeifaddrs>>;

AddressList resolve(const std::string& host) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_DGRAM;
    addrinfo* first = nullptr;
    // The port is never used; 9 discards.
    if (::getaddrinfo(host.c_str(), "9", &hints, &first) != 0) return nullptr;
    return AddressList(first);
}

/// Numeric; empty when it cannot be expressed.
std::string text_of(const sockaddr* address, socklen_t size) {
    char host[NI_MAXHOST] = {};
    if (::getnameinfo(address, size, host, sizeof host, nullptr, 0, NI_NUMERICHOST) != 0) return {};
    return host;
}

/// The local end of a datagram socket connected to `peer`; empty when there is no route. Connecting
/// such a socket sends nothing: it only makes the kernel choose.
std::string source_address(const addrinfo& peer) {
    const int fd = ::socket(peer.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return {};
    sockaddr_storage storage{};
    auto* self = reinterpret_cast<sockaddr*>(&storage);
    socklen_t size = sizeof storage;
    const bool found = ::connect(fd, peer.ai_addr, peer.ai_addrlen) == 0 && ::getsockname(fd, self, &size) == 0;
    ::close(fd);
    return found ? text_of(self, size) : std::string();
}

bool is_loopback(std::string_view address) { return address.starts_with("127.") || address == "::1"; }

/// The first address of an interface that is up and not loopback; empty if there is none.
std::string first_address() {
    ifaddrs* raw = nullptr;
    if (::getifaddrs(&raw) != 0) return {};
    const InterfaceList list(raw);
    for (const auto* entry = list.get(); entry != nullptr; entry = entry->ifa_next) {
        // Link-local IPv6 addresses mean nothing to another host, so only IPv4 ones are taken here.
        const bool usable = (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_LOOPBACK) == 0;
        if (usable && entry->ifa_addr != nullptr && entry->ifa_addr->sa_family == AF_INET) {
            return text_of(entry->ifa_addr, sizeof(sockaddr_in));
        }
    }
    return {};
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here changes the environment
    return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

std::string listen_address(const std::string& master, bool one_host) {
    if (one_host) return kLoopback;
    const auto peers = resolve(master);
    for (const auto* peer = peers.get(); peer != nullptr; peer = peer->ai_next) {
        auto address = source_address(*peer);
        if (!address.empty() && !is_loopback(address)) return address;
    }
    auto address = first_address();
    return address.empty() ? std::string(kLoopback) : address;
}

std::string listen_address() {
    const auto master = environment("MASTER_ADDR");
    const bool one_host = environment("LOCAL_WORLD_SIZE") == environment("WORLD_SIZE");
    return listen_address(master, one_host || master.empty());
}

}  // namespace digits
