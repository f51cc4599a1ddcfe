// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "rankexec/core/cli/workflow_options.hpp"
#include "rankexec/core/component/component_spec.hpp"
#include "rankexec/core/executor/multi_process_executor.hpp"

namespace rankexec::cli {

/// A job as its file states it. docs/job-file.md is the reference for every key.
struct Job {
    std::string name;
    std::filesystem::path file;
    MultiProcessOptions executor;  ///< group.program empty: the stock worker; on_output not set
    std::string plugin;            ///< library for the stock worker, as written; empty: none
    std::string parent_plugin;     ///< library for the parent, as written; empty: none
    std::vector<ComponentSpec> parent_components;
    WorkflowOptions workflow;
};

/// Reads a job from text. Total: any text gives a Job or throws ConfigurationError (job_file) with
/// file, line and what to write instead. `launchers` are the launchers that exist. Nothing outside
/// the text is looked at, so the programs and libraries it names may be missing.
[[nodiscard]] Job parse_job(std::string_view text, const std::filesystem::path& file,
                            const std::vector<std::string>& launchers);

/// As parse_job, for a file; also throws when it cannot be read.
[[nodiscard]] Job read_job(const std::filesystem::path& file, const std::vector<std::string>& launchers);

}  // namespace rankexec::cli
