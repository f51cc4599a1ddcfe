// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/torchrun_launcher.hpp"

#include <unistd.h>

#include <array>
#include <string>

#include "rankexec/core/launch/ending_policy.hpp"
#include "rankexec/core/launch/program_search.hpp"
#include "rankexec/core/system/rank_variables.hpp"

namespace rankexec {
namespace {

/// The words that start torchrun: PATH's, which belongs to the Python that has torch (of a virtual
/// environment, say), else Debian's Python when it has torch. Empty when there is neither.
std::vector<std::string> torchrun_command(const std::vector<std::string>& environment) {
    if (const auto torchrun = find_in_path(environment, "torchrun")) return {*torchrun};
    constexpr const char* kModule = "/usr/lib/python3/dist-packages/torch/distributed/run.py";
    if (is_executable("/usr/bin/python3") && ::access(kModule, R_OK) == 0) {
        return {"/usr/bin/python3", "-m", "torch.distributed.run"};
    }
    return {};
}

}  // namespace

tl::expected<LaunchPlan, Failure> TorchrunLauncher::plan(const LaunchRequest& request) const {
    if (!request.hosts.empty()) {
        return tl::unexpected(
            cannot_serve(name(), "starts ranks on this host only; for hosts use mpirun, hydra or srun"));
    }
    auto argv = torchrun_command(request.environment);
    if (argv.empty()) return tl::unexpected(not_installed(name(), "torchrun", "python3-torch"));

    const auto count = std::to_string(request.world_size);
    append(argv, {"--nnodes", "1", "--nproc_per_node", count, "--no_python", "--max_restarts", "0"});
    // Without redirects Debian's torchrun 1.13 crashes on Python 3.11. Redirected files go to the log
    // directory, by default a new one in the common temporary directory, which it leaves behind.
    append(argv, {"-r", "1", "-t", "1"});
    if (!request.scratch_directory.empty()) append(argv, {"--log_dir", request.scratch_directory});
    // Port 0: the default is one fixed port, which two groups on a host would fight for. An address: where the name
    // localhost is unknown, torchrun would try for ever.
    append(argv, {"--rdzv_backend", "c10d", "--rdzv_endpoint", "127.0.0.1:0", "--rdzv_id", "rankexec"});
    append(argv, request.extra_args);
    append(argv, shim_command(name(), request));

    LaunchPlan plan;
    plan.program = {std::move(argv), request.environment, request.directory};
    // torchrun sets it to 1 by itself, but not without a warning on every start.
    if (request.world_size > 1 && !environment_value(request.environment, "OMP_NUM_THREADS")) {
        set_environment_value(plan.program.environment, "OMP_NUM_THREADS", "1");
    }
    apply_ending_policy(name(), plan);
    return plan;
}

}  // namespace rankexec
