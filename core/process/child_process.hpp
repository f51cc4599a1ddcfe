// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/process/environment.hpp"

namespace rankexec::process {

/// What to start. All descriptors stay the caller's, are close-on-exec and above 2.
struct ChildRequest {
    std::vector<std::string> argv;  ///< argv[0] is searched in the PATH of `environment` when it has no slash
    std::string file;               ///< the program; empty: what argv[0] stands for
    Environment environment;        ///< the whole environment
    std::string directory;          ///< working directory; empty: ours
    int death_signal = 0;           ///< PDEATHSIG; 0: none
    int standard_input = -1;        ///< becomes descriptor 0, and so on
    int standard_output = -1;
    int standard_error = -1;
    std::vector<int> inherited;              ///< handed over under their own numbers
    std::optional<rlimit> descriptor_limit;  ///< RLIMIT_NOFILE of the program; none: ours
    /// Folder of a cgroup (version 2) that the program is started in, where kernel and rights allow it, so that nothing
    /// it does is ever outside; -1: ours.
    int control_group = -1;
};

/// Why a program could not be started.
struct StartError {
    int error = 0;  ///< errno; 0: not the program is at fault, but what it was to get (a directory, a log file)
    std::string message;
};

/// Starts the program in a process group of its own, with an empty signal mask and default
/// dispositions. Returns its pid once the program itself runs: a missing or unusable program is an
/// error here, not an exit code. The caller reaps the child, also that of a failed start.
/// Only for single-threaded processes, because the parent must be the thread that PDEATHSIG watches.
[[nodiscard]] tl::expected<pid_t, StartError> start_child(const ChildRequest& request);

/// The file that `name` stands for: itself with a slash, otherwise the first executable in PATH.
[[nodiscard]] tl::expected<std::string, StartError> find_executable(const std::string& name,
                                                                    const Environment& environment,
                                                                    const std::string& directory);

}  // namespace rankexec::process
