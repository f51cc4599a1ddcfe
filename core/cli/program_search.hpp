// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace rankexec::cli {

/// Why a program cannot be started, with the exit code a shell would give.
struct ProgramError {
    int exit_code = 127;  ///< 127: not found; 126: found, but not executable
    std::string message;  ///< names every place that was looked at
};

/// The program that `execvp` would start for `name`: in the PATH of this process, or, when the name
/// has a slash, that file.
[[nodiscard]] tl::expected<std::filesystem::path, ProgramError> search_program(const std::string& name);

/// A file that a job names: relative to the job's folder, then in each of `folders`, then (when
/// `use_path`) as search_program. An absolute name is taken as it is. `executable` asks for a
/// program, otherwise any regular file will do. The result is absolute.
struct JobFilePlaces {
    std::filesystem::path job_folder;
    std::vector<std::filesystem::path> folders;
    bool use_path = false;
    bool executable = false;
};
[[nodiscard]] tl::expected<std::filesystem::path, ProgramError> search_job_file(const std::string& name,
                                                                                const JobFilePlaces& places);

/// The folder of the running program.
[[nodiscard]] std::filesystem::path program_folder();

}  // namespace rankexec::cli
