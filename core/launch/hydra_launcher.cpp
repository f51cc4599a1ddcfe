// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/hydra_launcher.hpp"

#include "rankexec/core/launch/ending_policy.hpp"
#include "rankexec/core/launch/program_search.hpp"

namespace rankexec {

tl::expected<LaunchPlan, Failure> HydraLauncher::plan(const LaunchRequest& request) const {
    const auto mpiexec = find_in_path(request.environment, "mpiexec.hydra");
    if (!mpiexec) return tl::unexpected(not_installed(name(), "mpiexec.hydra", "mpich"));

    std::vector<std::string> argv{*mpiexec, "-n", std::to_string(request.world_size)};
    // On this host ranks inherit everything; on others they get these and what the remote shell has.
    if (!request.exported.empty()) append(argv, {"-genvlist", comma_separated(request.exported)});
    if (!request.hosts.empty()) append(argv, {"-hosts", comma_separated(request.hosts)});
    if (!request.directory.empty()) append(argv, {"-wdir", request.directory});
    append(argv, request.extra_args);
    append(argv, shim_command(name(), request));

    LaunchPlan plan;
    plan.program = {std::move(argv), request.environment, request.directory};
    plan.may_be_remote = true;
    plan.exits_with_abort_code = true;
    apply_ending_policy(name(), plan);
    return plan;
}

}  // namespace rankexec
