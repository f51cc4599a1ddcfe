// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/resolve_job.hpp"

#include <filesystem>
#include <system_error>
#include <utility>

#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/component/configuration_error.hpp"

namespace rankexec::cli {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const Job& job) {
    std::error_code error;
    return fs::absolute(job.file, error).parent_path();
}

/// The ranks' program, or the one that is launched.
tl::expected<void, ProgramError> resolve_worker(Job& job) {
    auto& program = job.executor.group.program;
    const bool stock = program.empty();
    if (stock) program = {"rankexec-worker"};
    const auto programs = program_folder();
    JobFilePlaces places{folder_of(job), {programs, programs.parent_path() / "libexec" / "rankexec"}, true, true};
    // Nobody's job folder holds the stock worker.
    if (stock) places.job_folder = programs;
    auto found = search_job_file(program.front(), places);
    if (!found) {
        const char* key = job.kind == ExecutorKind::launcher ? ": command: " : ": worker: ";
        found.error().message = job.file.string() + key + found.error().message;
        return tl::unexpected(std::move(found.error()));
    }
    program.front() = found->string();
    return {};
}

tl::expected<void, ProgramError> resolve_library(const Job& job, const char* key, std::string& library) {
    if (library.empty()) return {};
    auto found = search_job_file(library, {folder_of(job), library_folders(), false, false});
    if (!found)
        return tl::unexpected(ProgramError{kExitUsage, job.file.string() + ": " + key + ": " + found.error().message});
    library = found->string();
    return {};
}

tl::expected<void, ProgramError> resolve_directory(Job& job) {
    auto& directory = job.executor.group.directory;
    if (directory.empty()) return {};
    const auto path = (folder_of(job) / directory).lexically_normal();
    std::error_code error;
    // Only local ranks must find it here.
    if (job.executor.group.launcher == "local" && !fs::is_directory(path, error)) {
        return tl::unexpected(
            ProgramError{kExitUsage, job.file.string() + ": directory: " + path.string() + " is no directory"});
    }
    directory = path.string();
    return {};
}

tl::expected<void, ProgramError> resolve_log_folder(Job& job) {
    auto& folder = job.executor.group.log_directory;
    if (folder.empty()) return {};
    std::error_code error;
    folder = fs::absolute(folder, error).lexically_normal().string();
    fs::create_directories(folder, error);
    if (!error) return {};
    return tl::unexpected(
        ProgramError{kExitUsage, job.file.string() + ": log_dir: " + folder + ": " + error.message()});
}

/// Paths of a job for a program that runs already.
void resolve_agent(Job& job) {
    const auto below_job = [&](std::string& path) {
        if (!path.empty()) path = (folder_of(job) / path).lexically_normal().string();
    };
    below_job(job.agent.key_file);
    below_job(job.agent.base_folder);
}

/// Whoever runs already is not started, by whatever launcher.
void refuse_launching(const RunCommand& command, const Job& job) {
    const auto refuse = [&](const char* option, bool given) {
        if (!given) return;
        throw ConfigurationError(ConfigurationError::Kind::option,
                                 std::string(option) + ": " + job.file.string() +
                                     " has executor = \"ipc\", for a program that runs already; leave the option out");
    };
    refuse("-n", command.ranks.has_value());
    refuse("--launcher", command.launcher.has_value());
    refuse("--launcher-arg", !command.launcher_args.empty());
    refuse("--command-template", command.command_template.has_value());
    refuse("--hosts", !command.hosts.empty());
    refuse("--contain", command.containment.has_value());
}

}  // namespace

std::vector<fs::path> library_folders() {
    const auto programs = program_folder();
    return {programs, programs.parent_path() / "lib", programs.parent_path() / "lib" / "rankexec"};
}

void apply_overrides(const RunCommand& command, Job& job) {
    if (job.kind == ExecutorKind::ipc) refuse_launching(command, job);
    if (command.transport && job.kind != ExecutorKind::multi_process) {
        throw ConfigurationError(ConfigurationError::Kind::option,
                                 "--transport: is for executor = \"multi_process\"; leave it out");
    }
    auto& group = job.executor.group;
    if (command.ranks) group.world_size = *command.ranks;
    if (command.launcher && *command.launcher != group.launcher) {
        group.launcher = *command.launcher;
        // They are another launcher's words.
        group.launcher_args.clear();
    }
    group.launcher_args.insert(group.launcher_args.end(), command.launcher_args.begin(), command.launcher_args.end());
    if (command.command_template) group.command_template = *command.command_template;
    if (command.command_template && group.launcher != "command") {
        throw ConfigurationError(ConfigurationError::Kind::option,
                                 "--command-template: is for --launcher command, but the launcher is " +
                                     group.launcher + "; give that too, or leave the template out");
    }
    if (!command.hosts.empty()) group.hosts = command.hosts;
    if (command.containment) group.containment = *command.containment;
    if (command.transport) job.executor.transport = *command.transport;
    if (command.save_file) job.workflow.save_file = *command.save_file;
}

tl::expected<void, ProgramError> resolve_job(Job& job) {
    if (job.kind == ExecutorKind::ipc) {
        resolve_agent(job);
        return resolve_library(job, "parent plugin", job.parent_plugin);
    }
    if (auto done = resolve_worker(job); !done) return done;
    if (auto done = resolve_library(job, "plugin", job.plugin); !done) return done;
    if (!job.plugin.empty()) {
        auto& program = job.executor.group.program;
        program.insert(program.end(), {"--plugin", job.plugin});
    }
    if (auto done = resolve_library(job, "parent plugin", job.parent_plugin); !done) return done;
    if (auto done = resolve_directory(job); !done) return done;
    return resolve_log_folder(job);
}

}  // namespace rankexec::cli
