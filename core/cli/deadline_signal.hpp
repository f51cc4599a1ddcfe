// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "rankexec/core/model/signal.hpp"

namespace rankexec::cli {

/// A signal that is triggered with another one, or when a time has passed: for executors that have no deadline of their
/// own. It has a thread that sleeps until then, or until it is destroyed.
class DeadlineSignal {
public:
    /// `time` 0: none. `reason`: the signal's when the time has passed.
    DeadlineSignal(const Signal& outer, std::chrono::milliseconds time, std::string reason)
        : reason_(std::move(reason)) {
        outer_ = outer.on_trigger([signal = signal_](const std::string& reason) { signal.trigger(reason); });
        if (time.count() == 0) return;
        thread_ = std::thread([this, time] {
            if (!over_.wait_for(time)) signal_.trigger(reason_);
        });
    }
    ~DeadlineSignal() {
        over_.trigger("over");
        if (thread_.joinable()) thread_.join();
    }
    DeadlineSignal(const DeadlineSignal&) = delete;
    DeadlineSignal& operator=(const DeadlineSignal&) = delete;

    [[nodiscard]] const Signal& signal() const { return signal_; }
    /// It was the time that triggered it.
    [[nodiscard]] bool passed() const { return signal_.reason() == reason_; }

private:
    const std::string reason_;
    const Signal signal_;
    const Signal over_;
    Signal::Subscription outer_;
    std::thread thread_;
};

}  // namespace rankexec::cli
