// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/open_mpi_launcher.hpp"

#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <optional>

#include "rankexec/core/launch/ending_policy.hpp"
#include "rankexec/core/launch/program_search.hpp"

namespace rankexec {
namespace {

/// True when the file behind `path` is another MPI's mpirun, as far as names tell.
bool is_other_mpi(const std::string& path) {
    char resolved[PATH_MAX] = {};
    if (::realpath(path.c_str(), resolved) == nullptr) return true;
    const std::string_view whole(resolved);
    const auto file = whole.substr(whole.rfind('/') + 1);
    for (const auto* other : {"hydra", "mpich", "impi", "mpiexec"}) {
        if (file.find(other) != std::string_view::npos) return true;
    }
    return false;
}

/// The first in PATH order, so that a module's Open MPI wins over the distribution's; within one
/// directory the name that can only be Open MPI's wins.
std::optional<std::string> find_mpirun(const std::vector<std::string>& environment) {
    for (const auto& directory : search_path(environment)) {
        for (const auto* name : {"/mpirun.openmpi", "/mpirun"}) {
            auto candidate = directory + name;
            if (is_executable(candidate) && !is_other_mpi(candidate)) return candidate;
        }
    }
    return std::nullopt;
}

}  // namespace

tl::expected<LaunchPlan, Failure> OpenMpiLauncher::plan(const LaunchRequest& request) const {
    const auto mpirun = find_mpirun(request.environment);
    if (!mpirun) return tl::unexpected(not_installed(name(), "Open MPI's mpirun", "openmpi-bin"));

    std::vector<std::string> argv{*mpirun};
    if (::geteuid() == 0) argv.emplace_back("--allow-run-as-root");
    append(argv, {"--oversubscribe", "--bind-to", "none", "--stdin", "none", "-n", std::to_string(request.world_size)});
    for (const auto& variable : request.exported) append(argv, {"-x", variable});
    if (!request.hosts.empty()) append(argv, {"--host", comma_separated(request.hosts)});
    if (!request.directory.empty()) append(argv, {"--wdir", request.directory});
    // Its session directory would survive SIGKILL in the common temporary directory. Not
    // orte_local_tmpdir_base: Open MPI hands its ranks both that and orte_tmpdir_base, and a program
    // that finds both refuses to start. Other hosts do not have the scratch directory.
    if (!request.scratch_directory.empty() && request.hosts.empty()) {
        append(argv, {"--mca", "orte_tmpdir_base", request.scratch_directory});
    }
    append(argv, request.extra_args);
    append(argv, shim_command(name(), request));

    LaunchPlan plan;
    plan.program = {std::move(argv), request.environment, request.directory};
    plan.may_be_remote = true;
    apply_ending_policy(name(), plan);
    return plan;
}

}  // namespace rankexec
