// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/local_launcher.hpp"

#include "rankexec/core/launch/ending_policy.hpp"
#include "rankexec/core/launch/program_search.hpp"

namespace rankexec {

tl::expected<LaunchPlan, Failure> LocalLauncher::plan(const LaunchRequest& request) const {
    if (!request.hosts.empty()) {
        return tl::unexpected(
            cannot_serve(name(), "starts ranks on this host only; for hosts use mpirun, hydra or srun"));
    }
    if (!request.extra_args.empty()) {
        return tl::unexpected(cannot_serve(
            name(), "there is no launcher command that could take the argument " + request.extra_args.front()));
    }
    LaunchPlan plan;
    plan.direct = true;
    plan.program = {request.program, request.environment, request.directory};
    apply_ending_policy(name(), plan);
    return plan;
}

}  // namespace rankexec
