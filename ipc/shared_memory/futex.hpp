// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "rankexec/core/model/export.hpp"

/// Sleeping until a 32-bit word in memory changes: futex(2), futex_waitv(2).
namespace rankexec {

/// A word that processes share. It is only ever a hint: what it tells of is looked at in any case.
using Bell = std::atomic<std::uint32_t>;
static_assert(Bell::is_always_lock_free && sizeof(Bell) == sizeof(std::uint32_t));

/// A word to sleep on, as long as it has that value.
struct WordAt {
    const void* word = nullptr;  ///< 32 bits, which need not be writable here
    std::uint32_t value = 0;
};

/// Wakes a thread of this process from whatever bell it waits for. Any thread.
class RANKEXEC_EXPORT Interrupt {
public:
    /// Who waits now returns, and so does who waits next.
    void ring() noexcept;
    /// Before the conditions for sleeping are looked at.
    [[nodiscard]] std::uint32_t value() const noexcept { return word_.load(std::memory_order_seq_cst); }
    /// Returns once it was rung since value() was `seen`.
    void wait(std::uint32_t seen) const noexcept;
    /// Likewise, or at the deadline.
    void wait(std::uint32_t seen, std::optional<std::chrono::steady_clock::time_point> deadline) const noexcept;

private:
    friend RANKEXEC_EXPORT void sleep_on(std::span<const WordAt> words, const Interrupt& interrupt,
                                         std::uint32_t interrupt_value,
                                         std::optional<std::chrono::steady_clock::time_point> deadline) noexcept;
    std::atomic<std::uint32_t> word_{0};
    mutable std::atomic<std::uint32_t> waiters_{0};  ///< that sleep, or are about to: who rings must wake them
};

/// Whether the kernel has futex_waitv (Linux 5.16) and lets us use it. Asked once.
[[nodiscard]] RANKEXEC_EXPORT bool can_sleep_on_two() noexcept;

/// How many words sleep_on() takes, beside the interrupt: FUTEX_WAITV_MAX of futex_waitv(2), less one.
inline constexpr std::size_t kMostWords = 127;

/// Returns once one of the words is woken or has another value, likewise `interrupt`, or at the deadline; and sometimes
/// for no reason.
RANKEXEC_EXPORT void sleep_on(std::span<const WordAt> words, const Interrupt& interrupt, std::uint32_t interrupt_value,
                              std::optional<std::chrono::steady_clock::time_point> deadline) noexcept;

/// Wakes everyone, in any process, who sleeps on that word, and counts it up, so that who is about to does not.
/// A system call: only where somebody sleeps.
RANKEXEC_EXPORT void wake_all(Bell& bell) noexcept;

/// Wakes everyone, in any process, who sleeps on that word of 32 bits, which has changed.
RANKEXEC_EXPORT void wake_sleepers(const void* word) noexcept;

}  // namespace rankexec
