// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <thread>

namespace rankexec {

/// Whether `free` becomes true within a second, for what one process has at a time: a lock on a file, a listening
/// socket. A process that was killed while it started another one leaves its descriptors to that child, until this
/// becomes the other program. Nothing tells when that is.
template <typename Free>
[[nodiscard]] bool within_a_moment(Free free) {
    constexpr std::chrono::milliseconds kPause{20};
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    while (!free()) {
        if (std::chrono::steady_clock::now() > patience) return false;
        std::this_thread::sleep_for(kPause);
    }
    return true;
}

}  // namespace rankexec
