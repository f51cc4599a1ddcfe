// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/bench/bench_options.hpp"
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

/// `rankexec bench`.
struct BenchCommand {
    bench::BenchOptions options;  ///< group: without components, and without a program for the benchmark's own worker
    std::string component_type;   ///< of the user's worker; empty: the benchmark's own, or the job's
    std::string job_file;         ///< worker and components are its; empty: none
    std::string from_file;        ///< report on that; empty: measure
    std::string json_file;        ///< "-": standard output; empty: none, as with all that follow
    std::string html_file, svg_folder, compare_file;
};

/// Print this on standard output and be done.
struct PrintCommand {
    std::string text;
};

using Command = std::variant<LaunchCommand, RunCommand, BenchCommand, PrintCommand>;

/// Reads the arguments after the program's name. The error is one line (or two) for the user; the
/// exit code is then kExitUsage. Looks at this process's environment for `-x NAME`, at nothing else.
[[nodiscard]] tl::expected<Command, std::string> parse_command_line(const std::vector<std::string>& arguments,
                                                                    const std::vector<std::string>& launchers);

}  // namespace rankexec::cli
