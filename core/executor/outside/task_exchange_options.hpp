// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/pipe/pipe_handler_options.hpp"

namespace rankexec {

/// Every time-out of the exchange of tasks and results over a pipe, and where its default is.
/// docs/outside-programs.md is the reference.
struct RANKEXEC_EXPORT TaskExchangeOptions {
    using Milliseconds = std::chrono::milliseconds;

    Milliseconds open_timeout{10'000};  ///< for the pipe to be there
    /// How often to look for a message where no event tells of one: pipes through a folder shared over a network.
    Milliseconds read{500};
    Milliseconds heartbeat_interval{5'000};  ///< between two heartbeats to the program
    /// Silence after which the program is gone. 0: never; otherwise longer than heartbeat_interval, which both sides
    /// have in common.
    Milliseconds peer_gone_after{60'000};
    Milliseconds resend_interval{2'000};     ///< between two attempts to hand over a task; 0: one attempt
    Milliseconds task_taken_within{60'000};  ///< for the program to take a task, all attempts together
    Milliseconds task_timeout{0};            ///< from then on, for its result; 0: no limit
    Milliseconds notify_timeout{2'000};      ///< for the program to take the news of an end or abort

    /// Throws ConfigurationError, with the values that cannot be, or contradict each other.
    void validate() const;
    /// For the handler of one conversation; on a pipe that can resend the attempts fill task_taken_within.
    [[nodiscard]] PipeHandlerOptions handler_options() const;
    /// For one attempt, see handler_options().
    [[nodiscard]] Milliseconds attempt() const;
};

/// What the pipe between an executor and the program that it launches runs over.
struct RANKEXEC_EXPORT ExchangePipeOptions {
    enum class Form : std::uint8_t { zeromq, files };

    Form form = Form::zeromq;
    /// Files only: an existing folder, below which one for the pipe's files is made, and removed in the end. Where the
    /// program may be on another host, that has to see the same folder. Empty: a folder of this host.
    std::string directory;
    std::string advertise_address;  ///< ZeroMQ, programs on other hosts: what they connect to; empty: every interface

    /// Throws ConfigurationError when an option does not go with the form, or the folder is not an absolute path.
    void validate() const;
};

}  // namespace rankexec
