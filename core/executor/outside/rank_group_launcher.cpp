// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/rank_group_launcher.hpp"

#include <utility>

namespace rankexec {

RankGroupLauncher::RankGroupLauncher(RankGroupLauncherOptions options)
    : GroupProgramLauncher(options, options.group, true) {}

}  // namespace rankexec
