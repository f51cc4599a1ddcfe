// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Overwrites what may have held a secret. Any thread.
inline void wipe(std::string& text) {
    if (!text.empty()) ::explicit_bzero(text.data(), text.size());
}
inline void wipe(std::vector<std::byte>& bytes) {
    if (!bytes.empty()) ::explicit_bzero(bytes.data(), bytes.size());
}
/// The values of the variables of that name.
inline void wipe_variable(std::vector<std::string>& environment, std::string_view name) {
    for (auto& entry : environment) {
        if (entry.starts_with(name) && entry.size() > name.size() && entry[name.size()] == '=') wipe(entry);
    }
}

/// Overwrites the vector registers, and the stack of this thread below the caller. To be called when work with a
/// secret is over: what was copied last is still in registers, and the dynamic linker, which binds a function when
/// it is called first, and signal handlers save them on the stack. Any thread.
RANKEXEC_EXPORT void wipe_scratch() noexcept;

/// Memory is overwritten before it is freed: what a buffer leaves behind when it grows or goes holds nothing.
template <typename T>
struct WipingAllocator {
    using value_type = T;
    WipingAllocator() = default;
    template <typename Other>
    WipingAllocator(const WipingAllocator<Other>& /*other*/) noexcept {}

    T* allocate(std::size_t count) { return std::allocator<T>().allocate(count); }
    void deallocate(T* memory, std::size_t count) noexcept {
        ::explicit_bzero(memory, count * sizeof(T));
        std::allocator<T>().deallocate(memory, count);
    }
    friend bool operator==(const WipingAllocator&, const WipingAllocator&) = default;
};

using WipedBytes = std::vector<std::byte, WipingAllocator<std::byte>>;

/// Bytes to append to, likewise overwritten before they are freed. Other than a vector it leaves new bytes as they are,
/// so that an encoder pays for what it writes only. Not thread-safe.
class WipedBuffer {
public:
    explicit WipedBuffer(std::size_t capacity) { reserve(capacity); }
    ~WipedBuffer() { give_back(); }
    WipedBuffer(const WipedBuffer&) = delete;
    WipedBuffer& operator=(const WipedBuffer&) = delete;

    [[nodiscard]] const std::byte* data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// `count` more bytes, to be written by the caller; valid until the next call.
    [[nodiscard]] std::byte* extend(std::size_t count) {
        if (capacity_ - size_ < count) reserve(std::max(size_ + count, 2 * capacity_));
        auto* const begin = data_ + size_;
        size_ += count;
        written_ = std::max(written_, size_);
        return begin;
    }
    /// Takes the last `count` bytes back.
    void shorten(std::size_t count) noexcept { size_ -= count; }

private:
    void reserve(std::size_t capacity) {
        auto* const data = std::allocator<std::byte>().allocate(capacity);
        if (size_ > 0) std::memcpy(data, data_, size_);
        give_back();
        data_ = data;
        capacity_ = capacity;
        written_ = size_;
    }
    /// What was never written holds nothing.
    void give_back() noexcept {
        if (data_ == nullptr) return;
        ::explicit_bzero(data_, written_);
        std::allocator<std::byte>().deallocate(data_, capacity_);
    }

    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t written_ = 0;  ///< the most that size_ has been
    std::size_t capacity_ = 0;
};

}  // namespace rankexec
