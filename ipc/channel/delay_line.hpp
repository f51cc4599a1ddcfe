// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/transport/bootstrap.hpp"

namespace rankexec {

/// Holds back what passes one channel of a rank, in order, so that tests can make any of the three
/// sockets the slow one. The environment variable RANKEXEC_TEST_DELAY=CHANNEL:MILLISECONDS says which
/// and how long; without it everything passes at once.
class DelayLine {
public:
    explicit DelayLine(EventLoop& loop);

    /// Runs `action` now, or after the delay when `kind` is the slow channel.
    template <typename Action>
    void pass(ChannelKind kind, Action action) {
        if (slow_ != kind) return action();
        hold_back(std::move(action));
    }

private:
    void hold_back(std::function<void()> action);

    EventLoop& loop_;
    std::optional<ChannelKind> slow_;
    std::chrono::milliseconds delay_{0};
};

}  // namespace rankexec
