// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

/// What the limit programs share: the least that moves bytes between processes of one host.
namespace limit {

/// One message at a time, of one writer to any number of readers. Who waits yields 50 times, then sleeps on a futex.
struct Ring {
    alignas(64) std::atomic<std::uint32_t> sequence;
    std::atomic<std::uint32_t> sleepers;
    std::uint32_t size;
    std::byte bytes[8000];

    void put(std::span<const std::byte> message) {
        size = static_cast<std::uint32_t>(message.size());
        std::memcpy(bytes, message.data(), message.size());
        sequence.fetch_add(1);
        if (sleepers.load() != 0) ::syscall(SYS_futex, &sequence, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
    }
    std::span<const std::byte> wait(std::uint32_t wanted) {
        for (int turn = 0; sequence.load() != wanted; ++turn) {
            if (turn < 50) {
                ::sched_yield();
                continue;
            }
            sleepers.fetch_add(1);
            ::syscall(SYS_futex, &sequence, FUTEX_WAIT, wanted - 1, nullptr, nullptr, 0);
            sleepers.fetch_sub(1);
        }
        return std::span(bytes).first(size);
    }
};

/// Memory that children have, too; its pages are there.
inline std::byte* shared_memory(std::size_t size) {
    void* const memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return memory == MAP_FAILED ? nullptr : static_cast<std::byte*>(memory);
}

/// True in the child, which dies with its parent.
inline bool in_child() {
    const pid_t parent = ::getpid();
    if (::fork() != 0) return false;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);
    return true;
}

inline std::uint64_t checksum(std::span<const std::byte> bytes) {
    std::uint64_t sums[8] = {};
    for (std::size_t at = 0; at + sizeof sums <= bytes.size(); at += sizeof sums) {
        std::uint64_t words[8];
        std::memcpy(words, bytes.data() + at, sizeof words);
        for (int index = 0; index < 8; ++index) sums[index] += words[index];
    }
    std::uint64_t sum = 0;
    for (const auto part : sums) sum += part;
    return sum;
}

/// Writes every word.
inline void fill(std::span<std::byte> bytes, std::uint64_t seed) {
    auto* const words = reinterpret_cast<std::uint64_t*>(bytes.data());
    for (std::size_t index = 0; index < bytes.size() / 8; ++index) words[index] = seed += 0xD1B54A32D192ED03U;
}

inline double microseconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
}

inline double median(std::vector<double> times) {
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
}

}  // namespace limit
