// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

/// Types of the events that the library itself fires or acts on. An event type is any non-empty
/// text; applications add their own.
namespace rankexec::event {

inline constexpr std::string_view kStartRun = "start_run";  ///< executors initialise
inline constexpr std::string_view kAboutToEndRun = "about_to_end_run";
inline constexpr std::string_view kEndRun = "end_run";            ///< executors finalise
inline constexpr std::string_view kSystemPanic = "system_panic";  ///< the run cannot go on

}  // namespace rankexec::event
