// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/shared_memory/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <ctime>

#include <array>
#include <cerrno>
#include <climits>

namespace rankexec {
namespace {

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

futex_waitv entry(const std::atomic<std::uint32_t>& word, std::uint32_t value, bool is_private) {
    futex_waitv wait{};
    wait.val = value;
    wait.uaddr = reinterpret_cast<std::uintptr_t>(&word);
    wait.flags = FUTEX_32 | (is_private ? FUTEX_PRIVATE_FLAG : 0);
    return wait;
}

}  // namespace

bool can_sleep_on_two() noexcept {
    static const bool kCan = [] {
        const std::atomic<std::uint32_t> word{0};
        const std::array waits{entry(word, 1, true)};
        // The word differs, so it returns at once.
        return ::syscall(SYS_futex_waitv, waits.data(), waits.size(), 0, nullptr, 0) == -1 && errno == EAGAIN;
    }();
    return kCan;
}

void sleep_on(const Bell& bell, std::uint32_t bell_value, const Interrupt& interrupt, std::uint32_t interrupt_value,
              std::optional<std::chrono::steady_clock::time_point> deadline) noexcept {
    const std::array waits{entry(bell, bell_value, false), entry(interrupt.word_, interrupt_value, true)};
    timespec until{};
    if (deadline) {
        const auto time = deadline->time_since_epoch();
        const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
        until.tv_sec = seconds.count();
        until.tv_nsec = std::chrono::nanoseconds(time - seconds).count();
    }
    ::syscall(SYS_futex_waitv, waits.data(), waits.size(), 0, deadline ? &until : nullptr, CLOCK_MONOTONIC);
}

void Interrupt::ring() noexcept {
    word_.fetch_add(1, std::memory_order_seq_cst);
    ::syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

void Interrupt::wait(std::uint32_t seen) const noexcept {
    while (value() == seen) ::syscall(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
}

void wake_all(Bell& bell) noexcept {
    bell.fetch_add(1, std::memory_order_seq_cst);
    ::syscall(SYS_futex, &bell, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace rankexec
