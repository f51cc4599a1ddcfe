// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>

namespace rankexec {

/// How often a waiting thread yields its processor before it sleeps. Waking a sleeping processor takes 25 to 30 us on
/// common machines, a yield less than one; but a busy spin starves those that are waited for when ranks outnumber
/// cores, and yields are lost where answers take long. So the bound follows what happened: it grows when a sleep was so
/// short that yielding would have caught what came, and shrinks when yielding was in vain. It grows beyond the time
/// that waking takes: two sides that each sleep only because the other was being woken would do so for ever. One
/// thread.
class Patience {
public:
    [[nodiscard]] int yields() const noexcept { return yields_; }

    void on_slept(std::chrono::nanoseconds time) noexcept {
        yields_ = time < kShort ? std::min(2 * yields_, kMost) : std::max(yields_ / 2, kFewest);
    }

private:
    static constexpr int kFewest = 10;
    static constexpr int kFirst = 50;
    static constexpr int kMost = 400;
    static constexpr std::chrono::microseconds kShort{100};
    int yields_ = kFirst;
};

}  // namespace rankexec
