// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/bench/bench_options.hpp"
#include "rankexec/core/cli/jobs/job_commands.hpp"
#include "rankexec/core/cli/jobs/service_commands.hpp"
#include "rankexec/core/executor/multi_process_executor.hpp"
#include "rankexec/core/model/value.hpp"
#include "rankexec/worker/agent/agent.hpp"

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

/// `rankexec agent run`.
struct AgentRunCommand {
    std::vector<std::string> program;
    std::optional<agent::AttachOptions> attach;     ///< none: a launcher executor has launched this command
    std::chrono::milliseconds end_timeout{10'000};  ///< for the program to end by itself when the agent has closed
    std::chrono::milliseconds grace{5'000};         ///< between asking it to end and ending it by force
};
/// `rankexec agent get-task`.
struct AgentGetTaskCommand {
    std::string folder;
    std::optional<std::chrono::milliseconds> timeout;  ///< none: until there is a task, or will be none
};
/// `rankexec agent submit-result`.
struct AgentSubmitCommand {
    std::string folder;
};
/// `rankexec agent log`.
struct AgentLogCommand {
    Value::Map figures;
    std::string type = "metric";
};

/// `rankexec job-part`, which only a site or a controller starts: what to do is in the environment (job::PartSetup).
struct JobPartCommand {};

/// Print this on standard output and be done.
struct PrintCommand {
    std::string text;
};

using Command = std::variant<LaunchCommand, RunCommand, BenchCommand, AgentRunCommand, AgentGetTaskCommand,
                             AgentSubmitCommand, AgentLogCommand, ServeCommand, SiteCommand, JobRunCommand,
                             JobPartCommand, JobCommand, EnrollCommand, PrintCommand>;

/// Reads the arguments after the program's name. The error is one line (or two) for the user; the
/// exit code is then kExitUsage. Looks at this process's environment for `-x NAME`, at nothing else.
[[nodiscard]] tl::expected<Command, std::string> parse_command_line(const std::vector<std::string>& arguments,
                                                                    const std::vector<std::string>& launchers);

}  // namespace rankexec::cli
