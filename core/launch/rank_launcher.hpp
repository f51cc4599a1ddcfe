// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// What a launcher is asked to start: `world_size` times the rank's program.
struct LaunchRequest {
    int world_size = 1;
    std::vector<std::string> program;      ///< argv of the rank's program
    std::vector<std::string> environment;  ///< NAME=value; what the launcher command itself gets, already
                                           ///< without the rank variables of a job around us
    std::vector<std::string> exported;     ///< names in `environment` that must reach every rank, also on other hosts
    std::string directory;                 ///< working directory of the ranks; empty: ours
    std::vector<std::string> hosts;        ///< where to place ranks; empty: the launcher's default
    std::vector<std::string> extra_args;   ///< for the launcher command, before the program
    std::string command_template;          ///< CommandLauncher only: see its description
    std::string shim;                      ///< absolute path of rankexec-rank
    std::string scratch_directory;         ///< for the launcher's own temporary files; removed with the group;
                                           ///< empty: wherever the launcher puts them
};

/// What the guardian shall start and how the group is ended through it.
struct LaunchPlan {
    bool direct = false;        ///< the guardian starts the ranks itself; there is no shim and no launcher
    wire::ProgramSpec program;  ///< the ranks' program (direct), or the launcher command that starts shims
    wire::EndingStep graceful;  ///< design table: what ends the group gracefully, and by force
    wire::EndingStep forced;
    int death_signal = 0;        ///< PDEATHSIG for what the guardian starts
    int orphan_grace_ms = 300;   ///< default: between the graceful and the forced step once the parent is gone
    bool may_be_remote = false;  ///< ranks may be placed on other hosts: channels need tcp
    /// When a rank calls MPI_Abort, the launcher kills every rank with its supervisor before that rank has ended, and
    /// exits with the code that was given: nobody else can tell it.
    bool exits_with_abort_code = false;
};

/// One way to start ranks. Stateless: plan() only computes, nothing is started by it; any thread.
class RANKEXEC_EXPORT RankLauncher {
public:
    virtual ~RankLauncher();

    /// "local", "mpirun", "hydra", "torchrun", "srun" or "command"; also how the rank shim is told
    /// whose variables to read.
    [[nodiscard]] virtual std::string_view name() const = 0;

    /// Fails with launch_error when the launcher is not installed or cannot serve the request; the
    /// message says what is missing and what to install or change.
    [[nodiscard]] virtual tl::expected<LaunchPlan, Failure> plan(const LaunchRequest& request) const = 0;
};

/// The launcher of that name; throws ConfigurationError (launcher_unknown, with the nearest name).
[[nodiscard]] RANKEXEC_EXPORT std::unique_ptr<RankLauncher> make_launcher(std::string_view name);
/// All names that make_launcher knows.
[[nodiscard]] RANKEXEC_EXPORT std::vector<std::string> launcher_names();

}  // namespace rankexec
