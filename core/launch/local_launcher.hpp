// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rankexec/core/launch/rank_launcher.hpp"

namespace rankexec {

/// Starts the ranks directly: the guardian does what a shim does elsewhere. This host only.
class LocalLauncher : public RankLauncher {
public:
    [[nodiscard]] std::string_view name() const override { return "local"; }
    [[nodiscard]] tl::expected<LaunchPlan, Failure> plan(const LaunchRequest& request) const override;
};

}  // namespace rankexec
