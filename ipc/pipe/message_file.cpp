// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/pipe/message_file.hpp"

#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <system_error>

#include "rankexec/ipc/transport/credentials.hpp"
#include "rankexec/ipc/wire/packed_frames.hpp"

namespace rankexec::pipe {
namespace {

constexpr std::string_view kMagic = "rxpipe0\n";
/// Magic, and the length of what follows.
constexpr std::size_t kHeader = 16;
constexpr std::size_t kTimeDigits = 20;
constexpr std::size_t kCountDigits = 10;
constexpr std::size_t kRandomDigits = 8;
constexpr std::string_view kSuffix = ".message";

std::string system_error(const char* call) { return std::string(call) + ": " + std::generic_category().message(errno); }

bool write_all(int fd, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const auto size = ::write(fd, bytes.data(), bytes.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(size));
    }
    return true;
}

/// How many bytes could be read.
std::size_t read_all(int fd, std::span<std::byte> bytes) {
    std::size_t filled = 0;
    while (filled < bytes.size()) {
        const auto size = ::read(fd, bytes.data() + filled, bytes.size() - filled);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) break;
        filled += static_cast<std::size_t>(size);
    }
    return filled;
}

/// All frames with what goes around them.
std::size_t largest_content(const wire::Limits& limits) {
    return limits.message_bytes + wire::kEnvelopeBytes + limits.frames * 32;
}

tl::expected<std::size_t, std::string> checked_size(int fd, const wire::Limits& limits) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return tl::unexpected(system_error("fstat"));
    if (!S_ISREG(status.st_mode)) return tl::unexpected<std::string>("no regular file");
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size > kHeader + largest_content(limits)) {
        return tl::unexpected("a file of " + std::to_string(size) + " bytes, over the limit of " +
                              std::to_string(limits.message_bytes));
    }
    std::array<std::byte, kHeader> header{};
    if (read_all(fd, header) != kHeader) return tl::unexpected<std::string>("truncated: too short for any message");
    if (std::memcmp(header.data(), kMagic.data(), kMagic.size()) != 0) {
        return tl::unexpected<std::string>("not a message of a pipe, or of another version of it");
    }
    std::uint64_t length = 0;
    std::memcpy(&length, header.data() + kMagic.size(), sizeof length);
    if (length != size - kHeader) {
        return tl::unexpected("truncated or overlong: it says " + std::to_string(length) + " bytes, and holds " +
                              std::to_string(size - kHeader));
    }
    return length;
}

bool are_digits(std::string_view text, std::string_view digits) {
    return text.find_first_not_of(digits) == std::string_view::npos;
}

}  // namespace

tl::expected<void, std::string> write_message_file(int fd, const std::vector<wire::Frame>& frames) {
    std::vector<wire::PackedFrame> packed;
    packed.reserve(frames.size());
    for (const auto& frame : frames) packed.push_back({frame});
    wire::FramePacker packer;
    const auto pieces = packer.pack(packed);
    std::uint64_t length = 0;
    for (const auto& piece : pieces) length += piece.size();
    std::array<std::byte, kHeader> header{};
    std::memcpy(header.data(), kMagic.data(), kMagic.size());
    std::memcpy(header.data() + kMagic.size(), &length, sizeof length);
    bool written = write_all(fd, header);
    for (const auto& piece : pieces) written = written && write_all(fd, piece);
    if (!written) return tl::unexpected(system_error("write"));
    return {};
}

tl::expected<std::vector<wire::Frame>, std::string> read_message_file(int fd, const wire::Limits& limits) {
    const auto size = checked_size(fd, limits);
    if (!size) return tl::unexpected(size.error());
    try {
        const auto bytes = std::make_shared<std::vector<std::byte>>(*size);
        if (read_all(fd, *bytes) != *size) return tl::unexpected<std::string>("truncated while it was read");
        const auto packed = wire::unpack_frames(bytes, limits);
        if (!packed) return tl::unexpected(packed.error());
        std::vector<wire::Frame> frames;
        frames.reserve(packed->size());
        for (const auto& [frame, elsewhere] : *packed) {
            if (elsewhere) return tl::unexpected<std::string>("a frame that is not in the file");
            frames.push_back(frame);
        }
        return frames;
    } catch (const std::bad_alloc&) {
        return tl::unexpected<std::string>("no memory left for it");
    }
}

void MessageFileNames::after(std::string_view name) {
    if (!is_message_file_name(name)) return;
    std::uint64_t time = 0;
    std::from_chars(name.data(), name.data() + kTimeDigits, time);
    last_ = std::max(last_, time);
}

std::string MessageFileNames::next() {
    // The clock may be set back; the order may not.
    const auto now =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch());
    last_ = std::max(last_ + 1, static_cast<std::uint64_t>(now.count()));
    std::array<char, kTimeDigits + kCountDigits + 3> text{};
    std::snprintf(text.data(), text.size(), "%020llu-%010llu-", static_cast<unsigned long long>(last_),
                  static_cast<unsigned long long>(++count_ % 10'000'000'000ULL));
    return text.data() + random_run_id().substr(0, kRandomDigits) + std::string(kSuffix);
}

bool is_message_file_name(std::string_view name) noexcept {
    constexpr std::string_view kDecimal = "0123456789";
    if (name.size() != kTimeDigits + 1 + kCountDigits + 1 + kRandomDigits + kSuffix.size()) return false;
    const auto time = name.substr(0, kTimeDigits);
    const auto count = name.substr(kTimeDigits + 1, kCountDigits);
    const auto random = name.substr(kTimeDigits + kCountDigits + 2, kRandomDigits);
    // With a leading 0 the time is no larger than a number can be.
    return are_digits(time, kDecimal) && time.front() == '0' && name[kTimeDigits] == '-' &&
           are_digits(count, kDecimal) && name[kTimeDigits + kCountDigits + 1] == '-' &&
           are_digits(random, "0123456789abcdef") && name.ends_with(kSuffix);
}

}  // namespace rankexec::pipe
