// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "rankexec/core/model/signal.hpp"

namespace rankexec::pipe {

using Clock = std::chrono::steady_clock;

/// When a wait of that length ends; lengths that no clock reaches are cut.
[[nodiscard]] inline Clock::time_point deadline_after(std::chrono::milliseconds time) {
    constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24 * 365);
    return Clock::now() + std::clamp(time, std::chrono::milliseconds(0), kLongest);
}

/// Where threads wait for a change of something that another tells of: each looks, and waits when what it looked at
/// before was not enough. A change between the look and the wait is not missed. Any thread.
class WaitRoom {
public:
    /// To be asked before looking.
    [[nodiscard]] std::uint64_t changes() const {
        const std::lock_guard lock(mutex_);
        return changes_;
    }
    void notify() {
        {
            const std::lock_guard lock(mutex_);
            ++changes_;
        }
        changed_.notify_all();
    }
    /// Until there were more changes than `seen`, or the deadline.
    void wait(std::uint64_t seen, Clock::time_point deadline) {
        std::unique_lock lock(mutex_);
        changed_.wait_until(lock, deadline, [&] { return changes_ != seen; });
    }
    /// A triggered signal is a change, as long as the subscription lives.
    [[nodiscard]] Signal::Subscription follow(const Signal& signal) {
        return signal.on_trigger([this](const std::string&) { notify(); });
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::uint64_t changes_ = 0;
};

}  // namespace rankexec::pipe
