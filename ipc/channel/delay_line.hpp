// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>

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
    void pass(ChannelKind kind, std::function<void()> action);

private:
    EventLoop& loop_;
    std::optional<ChannelKind> slow_;
    std::chrono::milliseconds delay_{0};
};

}  // namespace rankexec
