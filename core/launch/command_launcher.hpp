// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rankexec/core/launch/rank_launcher.hpp"

namespace rankexec {

/// Any command that starts a program N times, given as a template:
///
///     mylaunch -np {n} {rank_program}
///
/// The template is split into words as a shell splits them (command_template.hpp), but no shell runs.
/// `{n}` or `{world_size}` is the number of ranks, `{hosts}` the hosts with commas between them, and the
/// word `{rank_program}` what to start once per rank.
///
/// The command must tell each process which rank it is, by the variables of any launcher that we know
/// (Open MPI, MPICH, torchrun, Slurm) or simply by RANK; LOCAL_RANK and LOCAL_WORLD_SIZE help where it
/// uses several hosts. It must pass its environment on, end when its processes have ended, and end them
/// when it gets SIGTERM.
class CommandLauncher : public RankLauncher {
public:
    [[nodiscard]] std::string_view name() const override { return "command"; }
    [[nodiscard]] tl::expected<LaunchPlan, Failure> plan(const LaunchRequest& request) const override;
};

}  // namespace rankexec
