// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/wire/packed_frames.hpp"

#include <cstring>

namespace rankexec::wire {

std::span<const std::span<const std::byte>> FramePacker::pack(std::span<const Frame> frames) {
    lengths_.assign(1, frames.size());
    for (const auto& frame : frames) lengths_.push_back(frame.bytes.size());
    pieces_.assign(1, std::as_bytes(std::span(lengths_)));
    for (const auto& frame : frames) pieces_.push_back(frame.bytes);
    return pieces_;
}

tl::expected<std::vector<Frame>, std::string> unpack_frames(const std::shared_ptr<const std::vector<std::byte>>& bytes,
                                                            const Limits& limits) {
    constexpr auto kLength = sizeof(std::uint64_t);
    std::span<const std::byte> rest(*bytes);
    const auto length_at = [&rest](std::size_t index) {
        std::uint64_t length = 0;
        std::memcpy(&length, rest.data() + index * kLength, kLength);
        return length;
    };
    if (rest.size() < kLength) return tl::unexpected<std::string>("a message without frames");
    const auto count = length_at(0);
    if (count == 0 || count > limits.frames || count >= rest.size() / kLength) {
        return tl::unexpected("a message of " + std::to_string(count) + " frames");
    }
    auto content = rest.subspan((1 + count) * kLength);
    std::vector<Frame> frames;
    frames.reserve(count);
    for (std::size_t index = 1; index <= count; ++index) {
        const auto length = length_at(index);
        if (length > content.size()) return tl::unexpected<std::string>("a frame that is longer than its message");
        frames.push_back({content.first(length), bytes});
        content = content.subspan(length);
    }
    if (!content.empty()) return tl::unexpected<std::string>("a message that is longer than its frames");
    return frames;
}

}  // namespace rankexec::wire
