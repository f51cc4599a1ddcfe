// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Every time-out of a PipeHandler, and where its default is.
struct RANKEXEC_EXPORT PipeHandlerOptions {
    using Milliseconds = std::chrono::milliseconds;

    /// How often to look for a message where no event tells of one: pipes through a folder shared over a network. A
    /// pipe that hears of every message is not polled.
    Milliseconds read{100};
    Milliseconds heartbeat_interval{5'000};  ///< between two heartbeats to the peer
    /// Silence after which the peer is gone. 0: never; otherwise longer than heartbeat_interval, which both sides have
    /// in common.
    Milliseconds peer_gone_after{30'000};
    Milliseconds resend_interval{2'000};  ///< between two attempts to send a message; 0: one attempt
    Milliseconds request_timeout{5'000};  ///< for the peer to take a message when the caller says nothing else
    int max_resends = 5;                  ///< attempts after the first
    Milliseconds notify_timeout{2'000};   ///< for the peer to take the news of an end or abort

    /// Throws ConfigurationError, with the values that cannot be, or contradict each other.
    void validate() const;
};

}  // namespace rankexec
