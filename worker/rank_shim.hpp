// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace rankexec::worker {

/// The whole life of a rank shim, the process that every launcher but the local one starts once per
/// rank: it learns its rank from the launcher's variables, connects to the parent, starts the rank's
/// program as the parent says, reports what becomes of it, and ends it with all that it started when
/// the parent asks for that, when the launcher does (SIGTERM), or when the parent is gone.
///
/// A shim whose program failed stays until the parent ends the group: launchers end all other ranks as
/// soon as one process fails, without the grace and the reports that these are to have.
///
/// Returns the exit code: the program's own (128 + N for a signal), 126 or 127 when it could not be
/// started, kShimFailed when the shim itself could not work, 2 for a wrong command line.
/// Called on the main thread, before other threads exist.
[[nodiscard]] int run_rank_shim(const std::vector<std::string>& arguments);

inline constexpr int kShimFailed = 125;

}  // namespace rankexec::worker
