// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/wire/packed_frames.hpp"

#include <array>
#include <cstring>

namespace rankexec::wire {
namespace {

/// Of the types of elements, and of what operator new returns.
constexpr std::size_t kAlignment = 16;
constexpr std::array<std::byte, kAlignment> kPadding{};

constexpr std::uint64_t kElsewhere = std::uint64_t{1} << 63U;

constexpr std::size_t padding_after(std::size_t size) { return (kAlignment - size % kAlignment) % kAlignment; }

}  // namespace

std::span<const std::span<const std::byte>> FramePacker::pack(std::span<const PackedFrame> frames) {
    lengths_.assign(1, frames.size());
    for (const auto& [frame, elsewhere] : frames) lengths_.push_back(frame.bytes.size() | (elsewhere ? kElsewhere : 0));
    pieces_.assign(1, std::as_bytes(std::span(lengths_)));
    for (const auto& [frame, elsewhere] : frames) {
        // Before each frame, so that nothing follows the last one.
        pieces_.push_back(std::span(kPadding).first(padding_after(pieces_.back().size())));
        pieces_.push_back(frame.bytes);
    }
    return pieces_;
}

tl::expected<std::vector<PackedFrame>, std::string> unpack_frames(
    const std::shared_ptr<const std::vector<std::byte>>& bytes, const Limits& limits) {
    constexpr auto kLength = sizeof(std::uint64_t);
    const std::span<const std::byte> all(*bytes);
    const auto length_at = [&all](std::size_t index) {
        std::uint64_t length = 0;
        std::memcpy(&length, all.data() + index * kLength, kLength);
        return length;
    };
    if (all.size() < kLength) return tl::unexpected<std::string>("a message without frames");
    const auto count = length_at(0);
    if (count == 0 || count > limits.frames || count >= all.size() / kLength) {
        return tl::unexpected("a message of " + std::to_string(count) + " frames");
    }
    auto rest = all.subspan((1 + count) * kLength);
    std::vector<PackedFrame> frames;
    frames.reserve(count);
    for (std::size_t index = 1; index <= count; ++index) {
        const auto padding = padding_after(all.size() - rest.size());
        const auto length = length_at(index) & ~kElsewhere;
        if (padding > rest.size() || length > rest.size() - padding) {
            return tl::unexpected<std::string>("a frame that is longer than its message");
        }
        frames.push_back({{rest.subspan(padding, length), bytes}, (length_at(index) & kElsewhere) != 0});
        rest = rest.subspan(padding + length);
    }
    if (!rest.empty()) return tl::unexpected<std::string>("a message that is longer than its frames");
    return frames;
}

}  // namespace rankexec::wire
