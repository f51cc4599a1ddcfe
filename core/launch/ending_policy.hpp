// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "rankexec/core/launch/rank_launcher.hpp"

namespace rankexec {

/// Fills in how a group under that launcher is ended: the graceful and the forced step, the signal
/// that the launcher process gets when its guardian dies, and the default grace once the parent is
/// gone. One table, measured against the real launchers; see ending_policy.cpp.
void apply_ending_policy(std::string_view launcher, LaunchPlan& plan);

}  // namespace rankexec
