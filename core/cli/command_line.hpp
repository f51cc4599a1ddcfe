// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/executor/multi_process_executor.hpp"

namespace rankexec::cli {

/// `rankexec launch`.
struct LaunchCommand {
    GroupOptions group;
    bool label = false;
    bool dry_run = false;
    bool json = false;
    std::optional<std::chrono::milliseconds> timeout;
};

/// `rankexec run`.
struct RunCommand {
    std::string job_file;
    std::optional<int> ranks;                ///< instead of the job's
    std::optional<std::string> launcher;     ///< instead of the job's
    std::vector<std::string> launcher_args;  ///< after the job's
    std::optional<std::string> command_template;
    std::vector<std::string> hosts;  ///< instead of the job's, when not empty
    std::optional<wire::Containment> containment;
    std::optional<Transport> transport;
    std::optional<std::string> save_file;
    bool dry_run = false;
    bool json = false;
};

/// Print this on standard output and be done.
struct PrintCommand {
    std::string text;
};

using Command = std::variant<LaunchCommand, RunCommand, PrintCommand>;

/// Reads the arguments after the program's name. The error is one line (or two) for the user; the
/// exit code is then kExitUsage. Looks at this process's environment for `-x NAME`, at nothing else.
[[nodiscard]] tl::expected<Command, std::string> parse_command_line(const std::vector<std::string>& arguments,
                                                                    const std::vector<std::string>& launchers);

}  // namespace rankexec::cli
