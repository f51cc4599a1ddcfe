// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/payload.hpp"

#include <atomic>
#include <cstring>
#include <utility>

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

namespace {

void fill(std::span<std::byte> bytes, std::uint64_t seed) noexcept {
    std::uint64_t word = seed * 0x9E3779B97F4A7C15U;
    const auto whole = bytes.size() / sizeof word * sizeof word;
    for (std::size_t at = 0; at < whole; at += sizeof word) {
        word += 0xD1B54A32D192ED03U;
        std::memcpy(bytes.data() + at, &word, sizeof word);
    }
    word += 0xD1B54A32D192ED03U;
    std::memcpy(bytes.data() + whole, &word, bytes.size() - whole);
}

}  // namespace

Payload build_payload(TensorBuffer buffer, std::uint64_t seed) {
    fill(buffer.bytes(), seed);
    const auto sum = checksum(buffer.bytes());
    return {std::move(buffer).finish(), sum};
}

PayloadSource::PayloadSource(std::uint64_t bytes) : bytes_(bytes) {}

Payload PayloadSource::next(std::uint64_t seed) {
    auto& buffer = buffers_.at(turn_++ % buffers_.size());
    // Whoever released it has read it before.
    if (buffer && buffer.use_count() == 1) {
        std::atomic_thread_fence(std::memory_order_acquire);
    } else {
        buffer = std::make_shared<Words>((bytes_ + 7) / 8);
    }
    const auto bytes = std::as_writable_bytes(std::span(*buffer)).first(bytes_);
    fill(bytes, seed);
    return {Tensor::adopt(DType::uint8, {static_cast<std::int64_t>(bytes_)}, bytes, buffer), checksum(bytes)};
}

}  // namespace rankexec::bench
