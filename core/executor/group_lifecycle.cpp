// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/group_lifecycle.hpp"

namespace rankexec {
namespace {

struct Transition {
    GroupState from;
    GroupEvent event;
    GroupState to;
};

using enum GroupState;
using enum GroupEvent;

// clang-format off
constexpr std::array kTransitions{
    Transition{idle,         launch,          launching},

    Transition{launching,    all_hello,       initialising},
    Transition{launching,    lost,            failing},
    Transition{launching,    close,           ending},
    Transition{launching,    gone,            failed},

    Transition{initialising, all_initialised, ready},
    Transition{initialising, lost,            failing},
    Transition{initialising, close,           ending},
    Transition{initialising, gone,            failed},

    Transition{ready,        lost,            failing},
    Transition{ready,        close,           closing},
    Transition{ready,        gone,            failed},

    Transition{closing,      lost,            ending},
    Transition{closing,      grace_over,      ending},
    Transition{closing,      gone,            idle},

    Transition{ending,       gone,            idle},

    Transition{failing,      close,           ending},
    Transition{failing,      gone,            failed},

    Transition{failed,       close,           idle},
};
// clang-format on

}  // namespace

std::string_view to_string(GroupState state) noexcept {
    switch (state) {
        case idle: return "idle";
        case launching: return "launching";
        case initialising: return "initialising";
        case ready: return "ready";
        case closing: return "closing";
        case ending: return "ending";
        case failing: return "failing";
        case failed: return "failed";
    }
    return "unknown";
}

std::string_view to_string(GroupEvent event) noexcept {
    switch (event) {
        case launch: return "launch";
        case all_hello: return "all_hello";
        case all_initialised: return "all_initialised";
        case lost: return "lost";
        case close: return "close";
        case grace_over: return "grace_over";
        case gone: return "gone";
    }
    return "unknown";
}

std::optional<GroupState> next_state(GroupState state, GroupEvent event) noexcept {
    for (const auto& transition : kTransitions) {
        if (transition.from == state && transition.event == event) return transition.to;
    }
    return std::nullopt;
}

}  // namespace rankexec
