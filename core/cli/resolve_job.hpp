// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/cli/command_line.hpp"
#include "rankexec/core/cli/job_file.hpp"
#include "rankexec/core/cli/program_search.hpp"

namespace rankexec::cli {

/// Puts what the command line says over what the job says. Throws ConfigurationError (option) for what is of no use
/// with this job.
void apply_overrides(const RunCommand& command, Job& job);

/// The folders of this installation, or of a build tree, in which libraries may be.
[[nodiscard]] std::vector<std::filesystem::path> library_folders();

/// Turns what the job names into paths: the program, the plugins, the ranks' directory, the agent's key (all
/// relative to the job file first), the log folder. The error's exit code is a shell's for a worker,
/// kExitUsage for the rest.
[[nodiscard]] tl::expected<void, ProgramError> resolve_job(Job& job);

}  // namespace rankexec::cli
