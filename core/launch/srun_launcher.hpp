// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rankexec/core/launch/rank_launcher.hpp"

namespace rankexec {

/// Slurm's srun, within an allocation or without one.
class SrunLauncher : public RankLauncher {
public:
    [[nodiscard]] std::string_view name() const override { return "srun"; }
    [[nodiscard]] tl::expected<LaunchPlan, Failure> plan(const LaunchRequest& request) const override;
};

}  // namespace rankexec
