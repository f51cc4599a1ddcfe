// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Where an exchanger and its one open task are. "There" means that the agent has answered a heartbeat on the present
/// connection and not been silent since.
enum class ExchangerState : std::uint8_t {
    closed,    ///< before start_run, after end_run
    away,      ///< no task is open; the agent is not there
    idle,      ///< no task is open; the agent is there
    waiting,   ///< a task is open that no agent is known to have; the agent is not there
    offering,  ///< the task was sent, and not answered
    working,   ///< an agent has the task, and is there
    parted,    ///< an agent has the task, and is not there
};
inline constexpr std::array kExchangerStates{ExchangerState::closed,  ExchangerState::away,     ExchangerState::idle,
                                             ExchangerState::waiting, ExchangerState::offering, ExchangerState::working,
                                             ExchangerState::parted};

enum class ExchangerEvent : std::uint8_t {
    start,         ///< start_run
    task,          ///< execute was called
    came,          ///< the agent is there: a process that was never given the open task, if there is one
    back_with,     ///< the agent is there, and has the open task's attempt
    back_without,  ///< the agent is there: the process that was given the attempt, but it does not have it
    lost,          ///< the connection is down, or the agent silent
    accepted,      ///< it has the attempt, it says
    refused,       ///< it does not take the attempt, it says
    result,        ///< a result that fits the open task
    bad_result,    ///< something that is no result, from the process that has the task
    exhausted,     ///< another process is there, and the task was given to as many as it may be
    dead,          ///< the agent was not there for the dead time-out
    abort,         ///< execute's signal was triggered
    end,           ///< end_run
};
inline constexpr std::array kExchangerEvents{
    ExchangerEvent::start,        ExchangerEvent::task,       ExchangerEvent::came,      ExchangerEvent::back_with,
    ExchangerEvent::back_without, ExchangerEvent::lost,       ExchangerEvent::accepted,  ExchangerEvent::refused,
    ExchangerEvent::result,       ExchangerEvent::bad_result, ExchangerEvent::exhausted, ExchangerEvent::dead,
    ExchangerEvent::abort,        ExchangerEvent::end};

/// What is done on the way.
enum class ExchangerAction : std::uint8_t {
    none,
    give,            ///< send the task as the next attempt
    give_again,      ///< send the same attempt
    deliver,         ///< execute returns the result
    fail_refused,    ///< execute returns: the agent does not take it
    fail_lost,       ///< ...: the agent's process that had it lost it
    fail_bad,        ///< ...: what it sent is no result
    fail_exhausted,  ///< ...: one process of the agent after another was given it and ended
    fail_dead,       ///< ...: the agent is dead
    fail_aborted,    ///< ...: aborted; the agent is told, if somebody may have it
    panic,           ///< no task waits; the agent is dead
};

struct ExchangerStep {
    ExchangerState next = ExchangerState::closed;
    ExchangerAction action = ExchangerAction::none;
    friend bool operator==(const ExchangerStep&, const ExchangerStep&) = default;
};

[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(ExchangerState state) noexcept;
[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(ExchangerEvent event) noexcept;
[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(ExchangerAction action) noexcept;

/// What `event` does in `state`; nothing when it means nothing there and is ignored.
[[nodiscard]] RANKEXEC_EXPORT std::optional<ExchangerStep> next_step(ExchangerState state,
                                                                     ExchangerEvent event) noexcept;

/// A task is open: execute has not returned.
[[nodiscard]] constexpr bool has_task(ExchangerState state) noexcept { return state >= ExchangerState::waiting; }
/// The agent is there.
[[nodiscard]] constexpr bool has_agent(ExchangerState state) noexcept {
    return state == ExchangerState::idle || state == ExchangerState::offering || state == ExchangerState::working;
}

}  // namespace rankexec
