// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

/// Floating-point numbers of 16 bits, which C++20 has no types for. Towards the small type they are rounded to nearest,
/// ties to even; what is too large becomes infinity.
namespace rankexec::job {

[[nodiscard]] inline float float_from_bfloat16(std::uint16_t bits) noexcept {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

[[nodiscard]] inline std::uint16_t bfloat16_from(float value) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);
    const std::uint32_t half = 0x7fffU + ((bits >> 16U) & 1U);
    return static_cast<std::uint16_t>((bits + half) >> 16U);
}

[[nodiscard]] inline float float_from_float16(std::uint16_t bits) noexcept {
    const int exponent = (bits >> 10U) & 0x1f;
    const int mantissa = bits & 0x3ff;
    float value = 0;
    if (exponent == 0x1f) {
        value = mantissa == 0 ? INFINITY : NAN;
    } else if (exponent == 0) {
        value = std::ldexp(static_cast<float>(mantissa), -24);
    } else {
        value = std::ldexp(static_cast<float>(mantissa + 0x400), exponent - 25);
    }
    return (bits & 0x8000U) != 0 ? -value : value;
}

[[nodiscard]] inline std::uint16_t float16_from(float value) noexcept {
    const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000U : 0U);
    const float size = std::fabs(value);
    const auto with_sign = [&](std::uint32_t bits) { return static_cast<std::uint16_t>(sign | bits); };
    if (std::isnan(value)) return with_sign(0x7e00);
    if (size >= 65520.0F) return with_sign(0x7c00);  // half way to the next power of two
    int exponent = 0;
    (void)std::frexp(size, &exponent);
    // The distance of neighbours at this size; below 2^-14 it stays the same. nearbyint rounds ties to even.
    const int step = size < 0x1p-14F ? -24 : exponent - 11;
    const auto steps = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(size, -step)));
    // A mantissa that was rounded up to 2^11 carries into the exponent by itself.
    if (step == -24) return with_sign(steps);
    return with_sign((static_cast<std::uint32_t>(exponent + 13) << 10U) + steps);
}

}  // namespace rankexec::job
