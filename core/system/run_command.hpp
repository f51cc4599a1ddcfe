// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"

namespace rankexec {

/// A short command of the system that answers and ends (nvidia-smi, squeue). Not for programs of users: those run
/// under a guardian.
struct RANKEXEC_EXPORT Command {
    std::vector<std::string> argv;  ///< no shell; argv[0] is searched in PATH
    /// The whole environment; none: ours.
    std::optional<std::vector<std::string>> environment;
    std::string directory;  ///< working directory; empty: ours
    std::string input;      ///< its standard input
    std::chrono::milliseconds timeout{20'000};
};

struct RANKEXEC_EXPORT CommandOutput {
    ExitStatus exit;
    std::string output;  ///< standard output, its first 4 MiB
    std::string errors;  ///< standard error, likewise
};

/// Runs it and waits for its end and for the end of its output. Fails with launch_error when it cannot be started, and
/// with execution_exception when it has not ended in time: then it was killed, with its process group. Leaves the rest
/// of this process alone: signal handlers, other children, its memory. Any thread.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<CommandOutput, Failure> run_command(const Command& command);

}  // namespace rankexec
