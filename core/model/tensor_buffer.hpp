// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/tensor.hpp"

namespace rankexec {

/// Memory that somebody lends: `bytes` may be written as long as `owner` is held.
struct LentMemory {
    std::span<std::byte> bytes;
    std::shared_ptr<const void> owner;  ///< empty: there was none to lend
};
/// Lends that many bytes, aligned for every element type; their content is arbitrary. Any thread.
using TensorAllocator = std::function<LentMemory(std::size_t size)>;

/// A tensor that is being built: memory that is written first and never again once it is a Tensor. Where the memory is
/// shared with other processes (MultiProcessExecutor::allocate, Engine::allocate), the tensor travels without a copy.
/// One thread.
class RANKEXEC_EXPORT TensorBuffer {
public:
    /// From `allocator`, or from the heap when it is not set or has nothing to lend. The content is arbitrary. Throws
    /// std::invalid_argument for a shape that no tensor can have, std::bad_alloc when there is no memory.
    static TensorBuffer make(DType dtype, Shape shape, const TensorAllocator& allocator = {});

    [[nodiscard]] DType dtype() const noexcept { return dtype_; }
    [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return memory_.bytes; }
    /// Throws std::invalid_argument when T is not the element type.
    template <typename T>
    [[nodiscard]] std::span<T> elements() const {
        require(DTypeOf<T>::value);
        return {reinterpret_cast<T*>(memory_.bytes.data()), memory_.bytes.size() / sizeof(T)};
    }

    /// The tensor. Nobody may write to the memory from now on.
    [[nodiscard]] Tensor finish() && {
        return Tensor::adopt(dtype_, std::move(shape_), memory_.bytes, std::move(memory_.owner));
    }

private:
    TensorBuffer(DType dtype, Shape shape, LentMemory memory)
        : dtype_(dtype), shape_(std::move(shape)), memory_(std::move(memory)) {}
    void require(DType dtype) const;

    DType dtype_;
    Shape shape_;
    LentMemory memory_;
};

}  // namespace rankexec
