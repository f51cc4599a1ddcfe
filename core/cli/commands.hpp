// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "rankexec/core/cli/command_line.hpp"
#include "rankexec/core/cli/jobs/service_commands.hpp"
#include "rankexec/core/cli/outcome_json.hpp"

/// The subcommands, each from its arguments to what the process ends with.
namespace rankexec::cli {

/// Throws ConfigurationError.
[[nodiscard]] CommandResult launch(const LaunchCommand& command);
/// Throws ConfigurationError.
[[nodiscard]] CommandResult run(const RunCommand& command);

/// Throws ConfigurationError.
[[nodiscard]] CommandResult benchmark(BenchCommand command);

/// Throws ConfigurationError.
[[nodiscard]] CommandResult agent_run(const AgentRunCommand& command);
[[nodiscard]] CommandResult agent_get_task(const AgentGetTaskCommand& command);
[[nodiscard]] CommandResult agent_submit_result(const AgentSubmitCommand& command);
[[nodiscard]] CommandResult agent_log(const AgentLogCommand& command);

/// Throw ConfigurationError.
[[nodiscard]] CommandResult serve(const ServeCommand& command);
[[nodiscard]] CommandResult site(const SiteCommand& command);
[[nodiscard]] CommandResult job_run(const JobRunCommand& command);
/// The process of one part of a job. It ends with an exit code of job::exit_code_of().
[[nodiscard]] CommandResult job_part(const JobPartCommand& command);
/// Of a user, to a controller. Throws ConfigurationError.
[[nodiscard]] CommandResult job_command(const JobCommand& command);
/// Throws ConfigurationError.
[[nodiscard]] CommandResult enroll(const EnrollCommand& command);

/// The whole command. Call it on the main thread, once, before other threads exist.
[[nodiscard]] int run_command_line(int argc, char** argv);

/// One line, or a few, on standard error, with the command's name before it. Any thread.
void complain(const std::string& message);
/// What it said last; empty: nothing. For --json. On the main thread.
[[nodiscard]] std::string last_complaint();

/// Prints to standard output; returns the exit code, after a complaint when it cannot be written.
[[nodiscard]] int print_text(const std::string& text);

/// A launcher other than "local" may use other machines, so only local ranks count against this one's
/// limits. Returns false after a complaint.
[[nodiscard]] bool fits_this_machine(const GroupOptions& group);

}  // namespace rankexec::cli
