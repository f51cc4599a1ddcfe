// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "rankexec/core/cli/workflow_options.hpp"
#include "rankexec/core/component/component_spec.hpp"
#include "rankexec/core/executor/multi_process_executor.hpp"
#include "rankexec/core/executor/outside/group_program_launcher.hpp"
#include "rankexec/core/executor/outside/ipc_exchanger.hpp"
#include "rankexec/core/executor/outside/launcher_executor.hpp"

namespace rankexec::cli {

/// What executes a job's tasks.
enum class ExecutorKind {
    multi_process,  ///< ranks of ours
    launcher,       ///< a program outside that is launched
    ipc,            ///< a program outside that runs already
};

/// A job as its file states it. docs/job-file.md is the reference for every key.
struct Job {
    std::string name;
    std::filesystem::path file;
    ExecutorKind kind = ExecutorKind::multi_process;
    /// group.program empty: the stock worker; on_output not set. Of a launched program, its group.
    MultiProcessOptions executor;
    LaunchedProgramOptions program;    ///< launcher only; on_output not set
    LauncherExecutorOptions exchange;  ///< launcher only
    IpcExchangerOptions agent;         ///< ipc only
    std::string plugin;                ///< library for the stock worker, as written; empty: none
    std::string parent_plugin;         ///< library for the parent, as written; empty: none
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
