// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/signal.hpp"
#include "rankexec/ipc/exchange/exchange_messages.hpp"

namespace rankexec::agent {

/// The tasks that an attached agent has: at most one that its program works on, and one that waits for it. What each
/// message from the exchanger means for them is decided here, and nothing is sent. Not thread-safe.
class RANKEXEC_EXPORT TaskDesk {
public:
    /// The task that the program has got.
    struct Open {
        exchange::TaskRef ref;
        std::string kind;
        Signal abort;
        std::string over;        ///< why nobody wants its result any more; empty: somebody does
        bool displaced = false;  ///< that is because another task has come: it may have been taken before
        bool sent = false;       ///< a result
        bool delivered = false;  ///< its result was taken, which nobody was there to hear
        /// Its result is on its way. The next task may overtake the answer to it, and then says nothing about it.
        bool submitting = false;
    };

    // ---- from the exchanger ----
    [[nodiscard]] exchange::TaskAnswer on_task(exchange::GiveTask&& task);
    void on_abort(const exchange::TaskRef& ref, const std::string& why);
    /// Another exchanger is there, which knows nothing of what the former one gave.
    void on_new_exchanger(const std::string& why);
    /// What is to be told of.
    [[nodiscard]] std::vector<exchange::HeartbeatAnswer::Held> holds() const;
    /// A result was taken for that task: a task that waits and is that one need not be done.
    void on_taken(const exchange::TaskRef& ref);
    /// No further task is taken; what is open is aborted.
    void close(const std::string& why);

    /// Signals of open tasks that are to be triggered with their reasons, by the caller, when it holds no lock: what
    /// the program does then is unknown.
    [[nodiscard]] std::vector<std::pair<Signal, std::string>> take_aborts() { return std::exchange(aborts_, {}); }

    // ---- from the program ----
    [[nodiscard]] bool has_waiting() const noexcept { return waiting_.has_value(); }
    /// The waiting task becomes the open one. Only when has_waiting(), and none is open.
    [[nodiscard]] exchange::GiveTask fetch();
    /// nullptr when none is.
    [[nodiscard]] Open* open() noexcept { return open_ ? &*open_ : nullptr; }
    /// The open task's result is on its way, until its answer has come or is waited for no more.
    void set_submitting(bool submitting);
    /// The open task is over, one way or another.
    void finish();

private:
    void remember(const exchange::TaskRef& ref);
    [[nodiscard]] bool is_over(const exchange::TaskRef& ref) const;
    void abort_open(const std::string& why);
    void supersede_open();

    std::optional<exchange::GiveTask> waiting_;
    std::optional<Open> open_;
    std::deque<exchange::TaskRef> over_;  ///< finished, or aborted before they came; oldest first
    std::vector<std::pair<Signal, std::string>> aborts_;
    std::string closed_;  ///< why
};

}  // namespace rankexec::agent
