// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "rankexec/core/model/tensor.hpp"

/// NumPy's .npy files, formats 1.0 and 2.0 (NEP 1), as far as a Tensor can hold what is in them. All functions may be
/// called from any thread.
namespace rankexec::numpy {

/// NumPy's name of an element type, little-endian as every host that this runs on; nothing for bfloat16.
[[nodiscard]] std::optional<std::string_view> npy_type(DType dtype);

/// What precedes the elements in a file of format 1.0, padded so that they begin at a multiple of 64.
[[nodiscard]] std::string npy_header(std::string_view type, const Shape& shape);

/// What a file says about its elements.
struct NpyHeader {
    DType dtype = DType::float32;
    Shape shape;
    bool fortran_order = false;  ///< the first index runs fastest
    std::size_t size = 0;        ///< where the elements begin
    std::size_t bytes = 0;       ///< of all elements
    friend bool operator==(const NpyHeader&, const NpyHeader&) = default;
};

inline constexpr std::size_t kLongestNpyHeader = std::size_t{64} << 10U;  ///< magic, version and length included
inline constexpr std::size_t kMostDimensions = 32;                        ///< as NumPy has them

/// Total: the beginning of a file (all of it, or kLongestNpyHeader bytes) is a header, or an error that says what is
/// wrong and, where something can be done in NumPy, what. Elements of two bytes without a type (V2) are bfloat16, which
/// NumPy does not know by name.
[[nodiscard]] tl::expected<NpyHeader, std::string> read_npy_header(std::span<const std::byte> beginning);

/// The whole of a file in memory. The elements are copied, in row-major order.
[[nodiscard]] tl::expected<Tensor, std::string> decode_npy(std::span<const std::byte> file);

/// Reads a regular file, which must hold exactly one array. Nothing larger than `most_bytes` is read. The error does
/// not name the file.
[[nodiscard]] tl::expected<Tensor, std::string> read_npy(const std::filesystem::path& path, std::size_t most_bytes);
/// The same of a descriptor at the file's beginning.
[[nodiscard]] tl::expected<Tensor, std::string> read_npy(int fd, std::size_t most_bytes);

/// Writes an array to a descriptor, bfloat16 as V2.
[[nodiscard]] tl::expected<void, std::string> write_npy(int fd, const Tensor& tensor);

}  // namespace rankexec::numpy
