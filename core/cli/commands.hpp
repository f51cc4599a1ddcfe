// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "rankexec/core/cli/command_line.hpp"

/// The subcommands, each from its arguments to the exit code of the process.
namespace rankexec::cli {

/// Throws ConfigurationError.
[[nodiscard]] int launch(const LaunchCommand& command);
/// Throws ConfigurationError.
[[nodiscard]] int run(const RunCommand& command);

/// The whole command. Call it on the main thread, once, before other threads exist.
[[nodiscard]] int run_command_line(int argc, char** argv);

/// One line, or a few, on standard error, with the command's name before it.
void complain(const std::string& message);

/// Prints to standard output; returns the exit code, after a complaint when it cannot be written.
[[nodiscard]] int print_text(const std::string& text);

/// A launcher other than "local" may use other machines, so only local ranks count against this one's
/// limits. Returns false after a complaint.
[[nodiscard]] bool fits_this_machine(const GroupOptions& group);

}  // namespace rankexec::cli
