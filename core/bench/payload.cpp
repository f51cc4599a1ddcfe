// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/payload.hpp"

#include <atomic>
#include <cstring>

namespace rankexec::bench {

std::uint64_t checksum(std::span<const std::byte> bytes) noexcept {
    std::array<std::uint64_t, 8> sums{};
    const auto* at = bytes.data();
    auto left = bytes.size();
    for (; left >= sizeof sums; left -= sizeof sums, at += sizeof sums) {
        std::array<std::uint64_t, 8> words{};
        std::memcpy(words.data(), at, sizeof words);
        for (std::size_t index = 0; index < words.size(); ++index) sums[index] += words[index];
    }
    std::uint64_t sum = 0;
    for (const auto part : sums) sum += part;
    for (; left > 0;) {
        std::uint64_t word = 0;
        const auto size = left < sizeof word ? left : sizeof word;
        std::memcpy(&word, at, size);
        sum += word;
        at += size;
        left -= size;
    }
    return sum;
}

PayloadSource::PayloadSource(std::uint64_t bytes) : bytes_(bytes) {}

PayloadSource::Payload PayloadSource::next(std::uint64_t seed) {
    auto& buffer = buffers_.at(turn_++ % buffers_.size());
    // Whoever released it has read it before.
    if (buffer && buffer.use_count() == 1) {
        std::atomic_thread_fence(std::memory_order_acquire);
    } else {
        buffer = std::make_shared<Words>((bytes_ + 7) / 8);
    }
    std::uint64_t word = seed * 0x9E3779B97F4A7C15U;
    for (auto& place : *buffer) place = word += 0xD1B54A32D192ED03U;
    const auto bytes = std::as_bytes(std::span(*buffer)).first(bytes_);
    return {Tensor::adopt(DType::uint8, {static_cast<std::int64_t>(bytes_)}, bytes, buffer), checksum(bytes)};
}

}  // namespace rankexec::bench
