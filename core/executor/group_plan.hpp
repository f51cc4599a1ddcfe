// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/executor/group_options.hpp"
#include "rankexec/core/launch/rank_launcher.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/ipc/transport/bootstrap.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// Under which name shims find a bootstrap in their environment; copies of its value are to be wiped.
inline constexpr const char* kBootstrapVariable = "RANKEXEC_BOOTSTRAP";

/// What the launcher would start for these options. `bootstrap` is the shim's form; nullptr to plan
/// without starting. Fails with launch_error.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<LaunchPlan, Failure> plan_group(const GroupOptions& options,
                                                                           const Bootstrap* bootstrap);

/// The guardian's orders for that plan. `channels`: ranks get a bootstrap of their own. `master_port`: where
/// direct ranks meet.
[[nodiscard]] tl::expected<wire::Supervise, Failure> supervise_order(const GroupOptions& options,
                                                                     const LaunchPlan& plan, const std::string& run_id,
                                                                     const Bootstrap* bootstrap, bool channels,
                                                                     int master_port);

/// What every rank's environment gets beyond its launcher's: the options' own variables, the run id,
/// and where the ranks meet.
[[nodiscard]] std::vector<std::string> added_environment(const GroupOptions& options, const std::string& run_id,
                                                         const std::string& master_address, int master_port);

}  // namespace rankexec
