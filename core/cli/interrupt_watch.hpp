// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "rankexec/core/cli/signal_source.hpp"
#include "rankexec/core/system/event_loop.hpp"

namespace rankexec::cli {

/// Watches for the signals by which users end and suspend programs, on a thread of its own, for code
/// that blocks elsewhere. They must be blocked before any other thread exists: call block() there.
class InterruptWatch {
public:
    struct Hooks {
        std::function<void(int signal)> on_first;   ///< end gracefully
        std::function<void(int signal)> on_second;  ///< end now; any later one calls it again
        std::function<void()> on_suspend;           ///< may be left out: the process stops
    };
    /// Blocks the signals in this thread and in those that it starts from now on.
    static void block();
    explicit InterruptWatch(Hooks hooks);
    ~InterruptWatch();
    InterruptWatch(const InterruptWatch&) = delete;
    InterruptWatch& operator=(const InterruptWatch&) = delete;

    /// The first signal that asked for the end; 0 when there was none.
    [[nodiscard]] int first_signal() const noexcept { return first_; }

private:
    void on_signal(int signal);

    Hooks hooks_;
    std::atomic<int> first_ = 0;
    EventLoop loop_;
    SignalSource signals_;
    std::thread thread_;
};

}  // namespace rankexec::cli
