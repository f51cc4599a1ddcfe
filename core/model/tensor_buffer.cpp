// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/tensor_buffer.hpp"

#include <limits>
#include <new>
#include <stdexcept>
#include <string>

namespace rankexec {
namespace {

/// A cache line: enough for every element type and for vector instructions.
constexpr std::align_val_t kAlignment{64};

std::size_t size_of(DType dtype, const Shape& shape) {
    const auto count = element_count(shape);
    const auto size = element_size(dtype);
    if (size == 0) throw std::invalid_argument("TensorBuffer: unknown element type");
    if (!count || static_cast<std::uint64_t>(*count) > std::numeric_limits<std::size_t>::max() / size) {
        throw std::invalid_argument("TensorBuffer: no tensor can have that shape");
    }
    return static_cast<std::size_t>(*count) * size;
}

LentMemory from_heap(std::size_t size) {
    auto* const bytes = static_cast<std::byte*>(::operator new(size, kAlignment));
    return {{bytes, size},
            {bytes, [](const std::byte* gone) { ::operator delete(const_cast<std::byte*>(gone), kAlignment); }}};
}

}  // namespace

TensorBuffer TensorBuffer::make(DType dtype, Shape shape, const TensorAllocator& allocator) {
    const auto size = size_of(dtype, shape);
    auto memory = allocator ? allocator(size) : LentMemory{};
    if (!memory.owner) memory = from_heap(size);
    return {dtype, std::move(shape), std::move(memory)};
}

void TensorBuffer::require(DType dtype) const {
    if (dtype == dtype_) return;
    throw std::invalid_argument("TensorBuffer: the elements are " + std::string(to_string(dtype_)) + ", not " +
                                std::string(to_string(dtype)));
}

}  // namespace rankexec
