// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rankexec/core/executor/group_options.hpp"
#include "rankexec/core/executor/outside/group_program_launcher.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec {

struct RankGroupLauncherOptions : LaunchedProgramOptions {
    GroupOptions group;  ///< its `directory` as in SubprocessLauncherOptions
};

/// Launches a group of ranks by any rank launcher (mpirun, torchrun, srun, ...). Rank 0 holds the pipe, and exchanges
/// tasks for all; the others do what the program's own communication tells them. The group runs as long as any rank
/// does, has succeeded when all have, and has failed as soon as one has.
class RANKEXEC_EXPORT RankGroupLauncher final : public GroupProgramLauncher {
public:
    /// Throws ConfigurationError. Starts nothing.
    explicit RankGroupLauncher(RankGroupLauncherOptions options);
};

}  // namespace rankexec
