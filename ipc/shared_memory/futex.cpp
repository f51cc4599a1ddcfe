// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/shared_memory/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <ctime>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

namespace rankexec {
namespace {

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

futex_waitv entry(const void* word, std::uint32_t value, bool is_private) {
    futex_waitv wait{};
    wait.val = value;
    wait.uaddr = reinterpret_cast<std::uintptr_t>(word);
    wait.flags = FUTEX_32 | (is_private ? FUTEX_PRIVATE_FLAG : 0);
    return wait;
}

timespec timespec_of(std::chrono::steady_clock::time_point point) {
    const auto time = point.time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    timespec until{};
    until.tv_sec = seconds.count();
    until.tv_nsec = std::chrono::nanoseconds(time - seconds).count();
    return until;
}

}  // namespace

bool can_sleep_on_two() noexcept {
    static const bool kCan = [] {
        const std::atomic<std::uint32_t> word{0};
        const std::array waits{entry(&word, 1, true)};
        // The word differs, so it returns at once.
        return ::syscall(SYS_futex_waitv, waits.data(), waits.size(), 0, nullptr, 0) == -1 && errno == EAGAIN;
    }();
    return kCan;
}

void sleep_on(std::span<const WordAt> words, const Interrupt& interrupt, std::uint32_t interrupt_value,
              std::optional<std::chrono::steady_clock::time_point> deadline) noexcept {
    std::array<futex_waitv, kMostWords + 1> waits;
    std::size_t count = 0;
    waits[count++] = entry(&interrupt.word_, interrupt_value, true);
    for (const auto& [word, value] : words.first(std::min(words.size(), kMostWords))) {
        waits[count++] = entry(word, value, false);
    }
    const auto until = deadline ? timespec_of(*deadline) : timespec{};
    // In one order with ring(): either that sees us, or the kernel sees that the word has changed.
    interrupt.waiters_.fetch_add(1, std::memory_order_seq_cst);
    ::syscall(SYS_futex_waitv, waits.data(), count, 0, deadline ? &until : nullptr, CLOCK_MONOTONIC);
    interrupt.waiters_.fetch_sub(1, std::memory_order_relaxed);
}

void Interrupt::ring() noexcept {
    word_.fetch_add(1, std::memory_order_seq_cst);
    if (waiters_.load(std::memory_order_seq_cst) == 0) return;
    ::syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

void Interrupt::wait(std::uint32_t seen) const noexcept { wait(seen, std::nullopt); }

void Interrupt::wait(std::uint32_t seen, std::optional<std::chrono::steady_clock::time_point> deadline) const noexcept {
    // Not futex_waitv, which not every kernel has; this one takes a point in time, too.
    const auto until = deadline ? timespec_of(*deadline) : timespec{};
    waiters_.fetch_add(1, std::memory_order_seq_cst);
    while (value() == seen && (!deadline || std::chrono::steady_clock::now() < *deadline)) {
        ::syscall(SYS_futex, &word_, FUTEX_WAIT_BITSET_PRIVATE, seen, deadline ? &until : nullptr, nullptr,
                  FUTEX_BITSET_MATCH_ANY);
    }
    waiters_.fetch_sub(1, std::memory_order_relaxed);
}

void wake_all(Bell& bell) noexcept {
    bell.fetch_add(1, std::memory_order_seq_cst);
    wake_sleepers(&bell);
}

void wake_sleepers(const void* word) noexcept { ::syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

}  // namespace rankexec
