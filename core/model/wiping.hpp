// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
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

}  // namespace rankexec
