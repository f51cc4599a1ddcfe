// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <tl/expected.hpp>

#include "rankexec/core/model/signal.hpp"
#include "rankexec/ipc/pipe/wait_room.hpp"

namespace rankexec {

/// Why a bounded_call has no result.
struct CallError {
    enum class Kind { threw, late } kind = Kind::threw;
    std::string message;
};

/// Calls a function that is not ours, which may throw and may never return, on a thread of its own. After `timeout`
/// (0: none) `cancel` is triggered, and `patience` after that it is waited for no longer: its thread and what it has
/// captured stay until it returns. Any thread. When threads have run out it counts as having thrown that.
template <typename Function>
auto bounded_call(Function function, std::chrono::milliseconds timeout, const Signal& cancel = {},
                  std::chrono::milliseconds patience = {}) -> tl::expected<decltype(function()), CallError> {
    using Result = decltype(function());
    struct State {
        pipe::WaitRoom room;
        std::mutex mutex;
        std::optional<tl::expected<Result, CallError>> outcome;
    };
    const auto state = std::make_shared<State>();
    auto run = [state, function = std::move(function)]() mutable {
        std::optional<tl::expected<Result, CallError>> outcome;
        try {
            outcome.emplace(function());
        } catch (const std::exception& error) {
            outcome.emplace(tl::unexpected(CallError{CallError::Kind::threw, error.what()}));
        } catch (...) {
            outcome.emplace(tl::unexpected(CallError{CallError::Kind::threw, "something that is no std::exception"}));
        }
        {
            const std::lock_guard lock(state->mutex);
            state->outcome = std::move(outcome);
        }
        state->room.notify();
    };
    std::thread thread;
    try {
        thread = std::thread(std::move(run));
    } catch (const std::system_error& error) {
        return tl::unexpected(CallError{CallError::Kind::threw,
                                        std::string(error.what()) + "; raise the limit of processes (ulimit -u)"});
    }
    auto deadline = pipe::deadline_after(timeout.count() == 0 ? std::chrono::milliseconds::max() : timeout);
    const auto subscription = state->room.follow(cancel);
    bool cancelled = false;
    while (true) {
        const auto seen = state->room.changes();
        {
            std::unique_lock lock(state->mutex);
            if (state->outcome) {
                auto outcome = std::move(*state->outcome);
                lock.unlock();
                thread.join();
                return outcome;
            }
        }
        const bool late = pipe::Clock::now() >= deadline;
        if (late && (cancelled || patience.count() == 0)) break;
        if (late) cancel.trigger("the time for it is over");
        if (cancel.triggered() && !std::exchange(cancelled, true)) deadline = pipe::deadline_after(patience);
        state->room.wait(seen, deadline);
    }
    thread.detach();
    return tl::unexpected(CallError{CallError::Kind::late, "it has not returned in time"});
}

}  // namespace rankexec
