// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Life cycle of an executor's group.
enum class GroupState : std::uint8_t {
    idle,          ///< no group: before initialise, after finalise
    launching,     ///< not every rank has said hello
    initialising,  ///< not every rank has built its components
    ready,         ///< tasks and events are taken
    closing,       ///< finalise: ranks were told to close
    ending,        ///< finalise: what has not closed is being ended by force
    failing,       ///< the group is lost and being ended
    failed,        ///< the group was lost and is gone; finalise makes it idle
};
inline constexpr std::array kGroupStates{GroupState::idle,    GroupState::launching, GroupState::initialising,
                                         GroupState::ready,   GroupState::closing,   GroupState::ending,
                                         GroupState::failing, GroupState::failed};

enum class GroupEvent : std::uint8_t {
    launch,           ///< initialise was called
    all_hello,        ///< every rank has said hello on all channels
    all_initialised,  ///< every rank has built its components
    lost,             ///< a rank or the launcher ended, a rank broke the protocol, or a deadline passed
    close,            ///< finalise was called
    grace_over,       ///< ranks that were told to close have not
    gone,             ///< nothing of the group is left, or what is left cannot be ended
};
inline constexpr std::array kGroupEvents{GroupEvent::launch, GroupEvent::all_hello, GroupEvent::all_initialised,
                                         GroupEvent::lost,   GroupEvent::close,     GroupEvent::grace_over,
                                         GroupEvent::gone};

[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(GroupState state) noexcept;
[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(GroupEvent event) noexcept;

/// Where `event` leads from `state`; nothing when it means nothing there and is ignored.
[[nodiscard]] RANKEXEC_EXPORT std::optional<GroupState> next_state(GroupState state, GroupEvent event) noexcept;

}  // namespace rankexec
