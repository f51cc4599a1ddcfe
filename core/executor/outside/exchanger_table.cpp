// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/exchanger_table.hpp"

namespace rankexec {
namespace {

struct Transition {
    ExchangerState from;
    ExchangerEvent event;
    ExchangerState to;
    ExchangerAction action = ExchangerAction::none;
};

// Not `using enum`: abort and exit are functions too, and result, task are good names for variables.
using S = ExchangerState;
using E = ExchangerEvent;
using A = ExchangerAction;

// clang-format off
constexpr std::array kTransitions{
    Transition{S::closed,   E::start,        S::away},

    Transition{S::away,     E::came,         S::idle},
    Transition{S::away,     E::task,         S::waiting},
    Transition{S::away,     E::dead,         S::away,     A::panic},
    Transition{S::away,     E::end,          S::closed},

    Transition{S::idle,     E::came,         S::idle},      // another process
    Transition{S::idle,     E::lost,         S::away},
    Transition{S::idle,     E::task,         S::offering, A::give},
    Transition{S::idle,     E::end,          S::closed},

    // Sent or not, nobody has said to have it. Of the attempts that were sent one may still be at work.
    Transition{S::waiting,  E::came,         S::offering, A::give},
    Transition{S::waiting,  E::back_with,    S::working},
    Transition{S::waiting,  E::back_without, S::offering, A::give_again},
    Transition{S::waiting,  E::accepted,     S::parted},    // overtakes the answer to the heartbeat
    Transition{S::waiting,  E::refused,      S::away,     A::fail_refused},
    Transition{S::waiting,  E::result,       S::away,     A::deliver},
    Transition{S::waiting,  E::bad_result,   S::away,     A::fail_bad},
    Transition{S::waiting,  E::exhausted,    S::idle,     A::fail_exhausted},
    Transition{S::waiting,  E::dead,         S::away,     A::fail_dead},
    Transition{S::waiting,  E::abort,        S::away,     A::fail_aborted},
    Transition{S::waiting,  E::end,          S::closed,   A::fail_aborted},

    Transition{S::offering, E::accepted,     S::working},
    Transition{S::offering, E::back_with,    S::working},   // the answer to the task was lost
    Transition{S::offering, E::came,         S::offering, A::give},
    Transition{S::offering, E::lost,         S::waiting},
    Transition{S::offering, E::refused,      S::idle,     A::fail_refused},
    Transition{S::offering, E::result,       S::idle,     A::deliver},
    Transition{S::offering, E::bad_result,   S::idle,     A::fail_bad},
    Transition{S::offering, E::exhausted,    S::idle,     A::fail_exhausted},
    Transition{S::offering, E::abort,        S::idle,     A::fail_aborted},
    Transition{S::offering, E::end,          S::closed,   A::fail_aborted},

    Transition{S::working,  E::lost,         S::parted},
    Transition{S::working,  E::came,         S::offering, A::give},
    Transition{S::working,  E::back_without, S::idle,     A::fail_lost},
    Transition{S::working,  E::result,       S::idle,     A::deliver},
    Transition{S::working,  E::bad_result,   S::idle,     A::fail_bad},
    Transition{S::working,  E::exhausted,    S::idle,     A::fail_exhausted},
    Transition{S::working,  E::abort,        S::idle,     A::fail_aborted},
    Transition{S::working,  E::end,          S::closed,   A::fail_aborted},

    Transition{S::parted,   E::back_with,    S::working},
    Transition{S::parted,   E::back_without, S::idle,     A::fail_lost},
    Transition{S::parted,   E::came,         S::offering, A::give},
    Transition{S::parted,   E::result,       S::away,     A::deliver},
    Transition{S::parted,   E::bad_result,   S::away,     A::fail_bad},
    Transition{S::parted,   E::exhausted,    S::idle,     A::fail_exhausted},
    Transition{S::parted,   E::dead,         S::away,     A::fail_dead},
    Transition{S::parted,   E::abort,        S::away,     A::fail_aborted},
    Transition{S::parted,   E::end,          S::closed,   A::fail_aborted},
};
// clang-format on

}  // namespace

std::string_view to_string(ExchangerState state) noexcept {
    switch (state) {
        case S::closed: return "closed";
        case S::away: return "away";
        case S::idle: return "idle";
        case S::waiting: return "waiting";
        case S::offering: return "offering";
        case S::working: return "working";
        case S::parted: return "parted";
    }
    return "unknown";
}

std::string_view to_string(ExchangerEvent event) noexcept {
    switch (event) {
        case E::start: return "start";
        case E::task: return "task";
        case E::came: return "came";
        case E::back_with: return "back_with";
        case E::back_without: return "back_without";
        case E::lost: return "lost";
        case E::accepted: return "accepted";
        case E::refused: return "refused";
        case E::result: return "result";
        case E::bad_result: return "bad_result";
        case E::exhausted: return "exhausted";
        case E::dead: return "dead";
        case E::abort: return "abort";
        case E::end: return "end";
    }
    return "unknown";
}

std::string_view to_string(ExchangerAction action) noexcept {
    switch (action) {
        case A::none: return "none";
        case A::give: return "give";
        case A::give_again: return "give_again";
        case A::deliver: return "deliver";
        case A::fail_refused: return "fail_refused";
        case A::fail_lost: return "fail_lost";
        case A::fail_bad: return "fail_bad";
        case A::fail_exhausted: return "fail_exhausted";
        case A::fail_dead: return "fail_dead";
        case A::fail_aborted: return "fail_aborted";
        case A::panic: return "panic";
    }
    return "unknown";
}

std::optional<ExchangerStep> next_step(ExchangerState state, ExchangerEvent event) noexcept {
    for (const auto& transition : kTransitions) {
        if (transition.from == state && transition.event == event)
            return ExchangerStep{transition.to, transition.action};
    }
    return std::nullopt;
}

}  // namespace rankexec
