// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/task_exchange_options.hpp"

#include <algorithm>

#include "rankexec/core/executor/outside/option_checks.hpp"

namespace rankexec {
namespace {

using Milliseconds = TaskExchangeOptions::Milliseconds;

/// A task that was not taken lies ready for a while before it is sent again.
constexpr Milliseconds kShortestAttempt{5'000};

/// How many attempts after the first fit.
int resends(const TaskExchangeOptions& options) {
    const auto pause = options.resend_interval;
    const auto left = options.task_taken_within - kShortestAttempt;
    if (pause.count() == 0 || left.count() <= 0) return 0;
    return static_cast<int>(std::min<Milliseconds::rep>(left / (kShortestAttempt + pause), 1'000'000));
}

}  // namespace

void TaskExchangeOptions::validate() const {
    const std::string whose = "task exchange";
    option::positive(whose, "open_timeout", open_timeout);
    option::positive(whose, "read", read);
    option::positive(whose, "heartbeat_interval", heartbeat_interval);
    option::not_negative(whose, "peer_gone_after", peer_gone_after);
    option::not_negative(whose, "resend_interval", resend_interval);
    option::positive(whose, "task_taken_within", task_taken_within);
    option::not_negative(whose, "task_timeout", task_timeout);
    option::positive(whose, "notify_timeout", notify_timeout);
    if (peer_gone_after.count() != 0 && peer_gone_after <= heartbeat_interval) {
        option::refuse(whose,
                       "peer_gone_after is " + option::in_words(peer_gone_after) + " and heartbeat_interval " +
                           option::in_words(heartbeat_interval) +
                           ": a program that lives would count as gone; raise the one above the other, or set it "
                           "to 0 (never)");
    }
    if (resend_interval >= task_taken_within) {
        option::refuse(whose, "resend_interval is " + option::in_words(resend_interval) + " and task_taken_within " +
                                  option::in_words(task_taken_within) +
                                  ": no task would ever be sent again; lower the one below the other, or set it to 0 "
                                  "(one attempt)");
    }
}

PipeHandlerOptions TaskExchangeOptions::handler_options() const {
    PipeHandlerOptions handler;
    handler.read = read;
    handler.heartbeat_interval = heartbeat_interval;
    handler.peer_gone_after = peer_gone_after;
    handler.resend_interval = resend_interval;
    handler.request_timeout = task_taken_within;
    handler.max_resends = resends(*this);
    handler.notify_timeout = notify_timeout;
    return handler;
}

Milliseconds TaskExchangeOptions::attempt() const {
    const auto pauses = resends(*this);
    return (task_taken_within - pauses * resend_interval) / (pauses + 1);
}

void ExchangePipeOptions::validate() const {
    const std::string whose = "pipe to the program";
    if (form == Form::files && !advertise_address.empty()) {
        option::refuse(whose,
                       "advertise_address is " + advertise_address + ", but the pipe is one of files; leave it out");
    }
    if (form == Form::zeromq && !directory.empty()) {
        option::refuse(whose, "directory is " + directory + ", but the pipe is one over ZeroMQ; leave it out");
    }
    if (!directory.empty() && directory.front() != '/') {
        option::refuse(whose, "directory is " + directory + "; it must be an absolute path");
    }
}

}  // namespace rankexec
