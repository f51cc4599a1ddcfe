// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rankexec/core/launch/rank_launcher.hpp"

namespace rankexec {

/// Open MPI's mpirun.
class OpenMpiLauncher : public RankLauncher {
public:
    [[nodiscard]] std::string_view name() const override { return "mpirun"; }
    [[nodiscard]] tl::expected<LaunchPlan, Failure> plan(const LaunchRequest& request) const override;
};

}  // namespace rankexec
