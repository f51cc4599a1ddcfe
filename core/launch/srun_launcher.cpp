// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/srun_launcher.hpp"

#include <algorithm>

#include "rankexec/core/launch/ending_policy.hpp"
#include "rankexec/core/launch/program_search.hpp"

namespace rankexec {
namespace {

/// --nodelist alone does not make srun use every node of it, --nodes does; but a Slurm host may be a
/// range ("n[1-4]"), and then we do not know how many there are.
std::vector<std::string> placement(const LaunchRequest& request) {
    if (request.hosts.empty()) return {};
    std::vector<std::string> words{"--nodelist=" + comma_separated(request.hosts)};
    const bool plain = std::ranges::none_of(
        request.hosts, [](const std::string& host) { return host.find_first_of("[,:/") != std::string::npos; });
    if (plain) words.push_back("--nodes=" + std::to_string(request.hosts.size()));
    return words;
}

}  // namespace

tl::expected<LaunchPlan, Failure> SrunLauncher::plan(const LaunchRequest& request) const {
    const auto srun = find_in_path(request.environment, "srun");
    const auto scancel = find_in_path(request.environment, "scancel");
    if (!srun || !scancel) return tl::unexpected(not_installed(name(), srun ? "scancel" : "srun", "slurm-client"));
    if (request.hosts.size() > static_cast<std::size_t>(request.world_size)) {
        return tl::unexpected(cannot_serve(name(), std::to_string(request.hosts.size()) + " hosts are more than " +
                                                       std::to_string(request.world_size) + " ranks"));
    }

    // --overlap: within a step of the same job, which holds its CPUs, srun would wait for ever.
    // --wait=0: a site's default may end all ranks some time after the first has ended well.
    std::vector<std::string> argv{*srun,
                                  "--ntasks=" + std::to_string(request.world_size),
                                  "--overcommit",
                                  "--overlap",
                                  "--kill-on-bad-exit=1",
                                  "--wait=0",
                                  "--input=none",
                                  "--export=ALL"};
    append(argv, placement(request));
    if (!request.directory.empty()) argv.push_back("--chdir=" + request.directory);
    append(argv, request.extra_args);
    append(argv, shim_command(name(), request));

    LaunchPlan plan;
    plan.program = {std::move(argv), request.environment, request.directory};
    plan.may_be_remote = true;
    apply_ending_policy(name(), plan);
    for (auto* step : {&plan.graceful, &plan.forced}) step->command.front() = *scancel;
    return plan;
}

}  // namespace rankexec
