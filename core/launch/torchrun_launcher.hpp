// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rankexec/core/launch/rank_launcher.hpp"

namespace rankexec {

/// PyTorch's torchrun (python3 -m torch.distributed.run). This host only.
class TorchrunLauncher : public RankLauncher {
public:
    [[nodiscard]] std::string_view name() const override { return "torchrun"; }
    [[nodiscard]] tl::expected<LaunchPlan, Failure> plan(const LaunchRequest& request) const override;
};

}  // namespace rankexec
