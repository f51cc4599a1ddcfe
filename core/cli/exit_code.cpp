// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/exit_code.hpp"

#include <cerrno>
#include <csignal>
#include <system_error>

namespace rankexec::cli {

int exit_code_of(const Failure& failure) noexcept {
    // A launch error without a rank is the launcher's: the exit status in it, if any, is not a rank's.
    const bool of_launcher = failure.code == ReturnCode::launch_error && !failure.rank;
    if (of_launcher) return kExitLauncher;
    // As the shims say it that find out on the ranks' hosts: no GPU left for this rank.
    if (failure.code == ReturnCode::launch_error && !failure.exit) return kExitNotExecutable;
    if (failure.exit && !failure.exit->success()) return failure.exit->shell_code();
    if (failure.code == ReturnCode::task_timeout) return kExitTimeout;
    // Ranks are named, but none of them ended: they were waited for until the time was up.
    const bool never_came =
        failure.code == ReturnCode::initialisation_error && !failure.exit && !failure.rank && !failure.ranks.empty();
    if (never_came) return kExitTimeout;
    return kExitFailure;
}

int exit_code_of(const ConfigurationError& /*error*/) noexcept { return kExitUsage; }

int exit_code_of_output(int error) noexcept { return error == EPIPE ? exit_code_of_signal(SIGPIPE) : kExitFailure; }

std::string text_of_output_error(int error) { return "cannot write output: " + std::generic_category().message(error); }

}  // namespace rankexec::cli
