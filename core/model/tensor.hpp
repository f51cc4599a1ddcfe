// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Element types, by the names NumPy uses. The numbers are part of the wire protocol.
enum class DType : std::uint8_t {
    boolean = 0,
    int8 = 1,
    uint8 = 2,
    int16 = 3,
    uint16 = 4,
    int32 = 5,
    uint32 = 6,
    int64 = 7,
    uint64 = 8,
    float16 = 9,
    bfloat16 = 10,
    float32 = 11,
    float64 = 12,
};

/// Bytes of one element; 0 for a number that names no element type.
[[nodiscard]] RANKEXEC_EXPORT std::size_t element_size(DType dtype) noexcept;
[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(DType dtype) noexcept;

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<bool> {
    static constexpr DType value = DType::boolean;
};
template <>
struct DTypeOf<std::int8_t> {
    static constexpr DType value = DType::int8;
};
template <>
struct DTypeOf<std::uint8_t> {
    static constexpr DType value = DType::uint8;
};
template <>
struct DTypeOf<std::int16_t> {
    static constexpr DType value = DType::int16;
};
template <>
struct DTypeOf<std::uint16_t> {
    static constexpr DType value = DType::uint16;
};
template <>
struct DTypeOf<std::int32_t> {
    static constexpr DType value = DType::int32;
};
template <>
struct DTypeOf<std::uint32_t> {
    static constexpr DType value = DType::uint32;
};
template <>
struct DTypeOf<std::int64_t> {
    static constexpr DType value = DType::int64;
};
template <>
struct DTypeOf<std::uint64_t> {
    static constexpr DType value = DType::uint64;
};
template <>
struct DTypeOf<float> {
    static constexpr DType value = DType::float32;
};
template <>
struct DTypeOf<double> {
    static constexpr DType value = DType::float64;
};

using Shape = std::vector<std::int64_t>;

/// Number of elements; nothing when an extent is negative or the product overflows 63 bits.
/// The empty shape is a scalar: one element.
[[nodiscard]] RANKEXEC_EXPORT std::optional<std::int64_t> element_count(const Shape& shape) noexcept;

/// An n-dimensional array: element type, shape, and contiguous bytes in row-major order, host byte
/// order (the wire protocol is little-endian only).
///
/// The bytes are immutable and shared: copying a Tensor copies a pointer, and the last copy frees
/// the memory (or calls back whoever lent it). Any thread may read.
class RANKEXEC_EXPORT Tensor {
public:
    /// float32 of shape {0}.
    Tensor();

    /// Copies the elements. Throws std::invalid_argument unless `elements` fills `shape` exactly.
    template <typename T>
    static Tensor copy_of(std::span<const T> elements, const Shape& shape) {
        return copy_bytes(DTypeOf<T>::value, shape, std::as_bytes(elements));
    }

    /// As copy_of, for untyped bytes.
    static Tensor copy_bytes(DType dtype, Shape shape, std::span<const std::byte> bytes);

    /// Adopts memory without copying: `owner` keeps `bytes` alive and is released with the last copy
    /// of the tensor; nobody may write to the bytes from now on. `bytes` must be aligned for `dtype`
    /// where `elements()` is to be used. Throws std::invalid_argument on a size mismatch.
    static Tensor adopt(DType dtype, Shape shape, std::span<const std::byte> bytes, std::shared_ptr<const void> owner);

    [[nodiscard]] DType dtype() const noexcept { return dtype_; }
    [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

    /// The elements in place. Throws std::invalid_argument when T is not the element type or the
    /// memory is not aligned for it.
    template <typename T>
    [[nodiscard]] std::span<const T> elements() const {
        require(DTypeOf<T>::value, alignof(T));
        return {reinterpret_cast<const T*>(bytes_.data()), bytes_.size() / sizeof(T)};
    }

    /// Same element type, shape and bytes.
    friend RANKEXEC_EXPORT bool operator==(const Tensor& left, const Tensor& right) noexcept;

private:
    void require(DType dtype, std::size_t alignment) const;

    DType dtype_ = DType::float32;
    Shape shape_{0};
    std::span<const std::byte> bytes_;
    std::shared_ptr<const void> owner_;
};

}  // namespace rankexec
