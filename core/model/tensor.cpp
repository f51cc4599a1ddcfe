// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/tensor.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "rankexec/core/model/tensor_buffer.hpp"

namespace rankexec {
namespace {

void check_size(DType dtype, const Shape& shape, std::size_t bytes) {
    const auto count = element_count(shape);
    const auto size = element_size(dtype);
    if (size == 0) throw std::invalid_argument("Tensor: unknown element type");
    if (!count || static_cast<std::uint64_t>(*count) > std::numeric_limits<std::size_t>::max() / size ||
        static_cast<std::size_t>(*count) * size != bytes) {
        throw std::invalid_argument("Tensor: " + std::to_string(bytes) + " bytes do not fill the shape with " +
                                    std::string(to_string(dtype)) + " elements");
    }
}

}  // namespace

std::size_t element_size(DType dtype) noexcept {
    switch (dtype) {
        case DType::boolean:
        case DType::int8:
        case DType::uint8: return 1;
        case DType::int16:
        case DType::uint16:
        case DType::float16:
        case DType::bfloat16: return 2;
        case DType::int32:
        case DType::uint32:
        case DType::float32: return 4;
        case DType::int64:
        case DType::uint64:
        case DType::float64: return 8;
    }
    return 0;
}

std::string_view to_string(DType dtype) noexcept {
    switch (dtype) {
        case DType::boolean: return "bool";
        case DType::int8: return "int8";
        case DType::uint8: return "uint8";
        case DType::int16: return "int16";
        case DType::uint16: return "uint16";
        case DType::int32: return "int32";
        case DType::uint32: return "uint32";
        case DType::int64: return "int64";
        case DType::uint64: return "uint64";
        case DType::float16: return "float16";
        case DType::bfloat16: return "bfloat16";
        case DType::float32: return "float32";
        case DType::float64: return "float64";
    }
    return "unknown";
}

std::optional<std::int64_t> element_count(const Shape& shape) noexcept {
    std::int64_t count = 1;
    for (const auto extent : shape) {
        if (extent < 0 || __builtin_mul_overflow(count, extent, &count)) return std::nullopt;
    }
    return count;
}

Tensor::Tensor() = default;

Tensor Tensor::copy_bytes(DType dtype, Shape shape, std::span<const std::byte> bytes) {
    check_size(dtype, shape, bytes.size());
    auto buffer = TensorBuffer::make(dtype, std::move(shape));
    if (!bytes.empty()) std::memcpy(buffer.bytes().data(), bytes.data(), bytes.size());
    return std::move(buffer).finish();
}

Tensor Tensor::adopt(DType dtype, Shape shape, std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
    check_size(dtype, shape, bytes.size());
    Tensor tensor;
    tensor.dtype_ = dtype;
    tensor.shape_ = std::move(shape);
    tensor.bytes_ = bytes;
    tensor.owner_ = std::move(owner);
    return tensor;
}

void Tensor::require(DType dtype, std::size_t alignment) const {
    if (dtype != dtype_) {
        throw std::invalid_argument("Tensor: elements are " + std::string(to_string(dtype_)) + ", not " +
                                    std::string(to_string(dtype)));
    }
    if (reinterpret_cast<std::uintptr_t>(bytes_.data()) % alignment != 0) {
        throw std::invalid_argument("Tensor: memory is not aligned for " + std::string(to_string(dtype_)));
    }
}

bool operator==(const Tensor& left, const Tensor& right) noexcept {
    return left.dtype_ == right.dtype_ && left.shape_ == right.shape_ && std::ranges::equal(left.bytes_, right.bytes_);
}

}  // namespace rankexec
