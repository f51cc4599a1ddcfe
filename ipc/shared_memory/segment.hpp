// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec {

/// Memory that two or more processes map: a memfd, which has no name that could be left behind, of a size that
/// nobody can change. Owns the mapping and the descriptor. Any thread, one at a time.
class RANKEXEC_EXPORT Segment {
public:
    enum class Access {
        read,        ///< for who gets it: its writes fault
        read_write,  ///< for who gets it
    };

    /// Makes one, mapped for writing here, with every page allocated (a page that is missing later is a SIGBUS) and
    /// zero. `peers` says what others may do with it: with Access::read nobody can map it for writing from now on
    /// (F_SEAL_FUTURE_WRITE, Linux 5.1), also not who receives the descriptor. Fails with what is missing:
    /// descriptors, memory, or the kernel's support.
    static tl::expected<Segment, std::string> create(std::size_t size, Access peers);

    /// Maps one that came from another process. Fails unless it is of that size and sealed against every change of
    /// it: the peer could otherwise take the pages away, and reading them would be a SIGBUS.
    static tl::expected<Segment, std::string> map(UniqueFd descriptor, std::size_t size, Access access);

    Segment() = default;
    Segment(Segment&& other) noexcept;
    Segment& operator=(Segment&& other) noexcept;
    ~Segment();

    [[nodiscard]] bool valid() const noexcept { return memory_ != nullptr; }
    /// Where this process has it; the bytes may only be written where it was mapped so.
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {memory_, size_}; }
    /// To be sent to the peer. Stays owned by this.
    [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }
    /// The mapping stays without it.
    void close_descriptor() noexcept { descriptor_.reset(); }
    [[nodiscard]] UniqueFd take_descriptor() noexcept { return std::move(descriptor_); }

private:
    Segment(UniqueFd descriptor, std::byte* memory, std::size_t size)
        : descriptor_(std::move(descriptor)), memory_(memory), size_(size) {}

    UniqueFd descriptor_;
    std::byte* memory_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace rankexec
