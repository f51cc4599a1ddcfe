// SPDX-License-Identifier: Apache-2.0
// An executor whose program is launched, as a round's variant says: words, separated by "-".
//   files     over a pipe of files
//   task      one program per task
//   group     a group of three ranks
//   children  the program starts children that ignore SIGTERM
#pragma once

#include <memory>

#include "rankexec/core/executor/outside/launcher_executor.hpp"
#include "round.hpp"

namespace chaos {

[[nodiscard]] std::unique_ptr<rankexec::LauncherExecutor> launched_executor(const RoundOptions& round);

/// The host of such an executor, as run_host.
int run_launched_host(const RoundOptions& round);

}  // namespace chaos
