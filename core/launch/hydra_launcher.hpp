// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rankexec/core/launch/rank_launcher.hpp"

namespace rankexec {

/// MPICH's mpiexec.hydra, and what is derived from it.
class HydraLauncher : public RankLauncher {
public:
    [[nodiscard]] std::string_view name() const override { return "hydra"; }
    [[nodiscard]] tl::expected<LaunchPlan, Failure> plan(const LaunchRequest& request) const override;
};

}  // namespace rankexec
