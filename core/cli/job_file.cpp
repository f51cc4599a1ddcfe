// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/job_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include "rankexec/core/cli/job_sections.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/nearest_name.hpp"
#include "rankexec/core/toml/toml_table.hpp"

namespace rankexec::cli {
namespace {

constexpr std::int64_t kMaxRounds = 1'000'000;
constexpr std::uintmax_t kMaxFileBytes = 4U << 20U;

std::vector<ComponentSpec> read_components(const TomlTable& top, std::string_view key) {
    std::vector<ComponentSpec> specs;
    for (const auto& table : top.tables(key, {"id", "type", "args"})) {
        ComponentSpec spec{table.required_text("id"), table.required_text("type"), table.tree("args")};
        const bool taken =
            std::any_of(specs.begin(), specs.end(), [&](const ComponentSpec& other) { return other.id == spec.id; });
        if (taken) table.fail("id", "\"" + spec.id + "\" is the id of another component; ids must be unique");
        specs.push_back(std::move(spec));
    }
    return specs;
}

void read_workflow(const TomlTable& table, WorkflowOptions& workflow) {
    assign(workflow.rounds, table.integer("rounds", 1, kMaxRounds));
    if (table.has("train_task")) workflow.train_task = table.required_text("train_task");
    assign(workflow.validate_task, table.text("validate_task"));
    if (table.has("metric")) workflow.metric = table.required_text("metric");
    assign(workflow.task_deadline, table.seconds("task_deadline_seconds"));
    const auto save = table.table("save", {"file"});
    if (table.has("save")) workflow.save_file = save.required_text("file");
}

const std::vector<std::string> kExecutorNames{"multi_process", "launcher", "ipc"};  // in order of ExecutorKind

ExecutorKind read_kind(const TomlTable& top) {
    const auto name = top.text("executor").value_or(kExecutorNames.front());
    const auto found = std::find(kExecutorNames.begin(), kExecutorNames.end(), name);
    if (found == kExecutorNames.end()) {
        top.fail("executor", "must be \"multi_process\", \"launcher\" or \"ipc\", not \"" + name + "\"" +
                                 did_you_mean(name, kExecutorNames));
    }
    return static_cast<ExecutorKind>(found - kExecutorNames.begin());
}

/// Tables that another executor has would be ignored, so they are refused.
void refuse_others(const TomlTable& top, ExecutorKind kind) {
    const auto refuse = [&](const char* key, bool wanted, const char* whose) {
        if (!wanted && top.has(key)) {
            top.fail(key, std::string("is for executor = ") + whose + "; this job has \"" +
                              kExecutorNames[static_cast<std::size_t>(kind)] + "\"");
        }
    };
    refuse("group", kind != ExecutorKind::ipc, "\"multi_process\" and \"launcher\"");
    refuse("components", kind == ExecutorKind::multi_process, "\"multi_process\"");
    refuse("program", kind == ExecutorKind::launcher, "\"launcher\"");
    refuse("agent", kind == ExecutorKind::ipc, "\"ipc\"");
}

void read_executor(const TomlTable& top, Job& job, const std::vector<std::string>& launchers) {
    job.kind = read_kind(top);
    refuse_others(top, job.kind);
    if (job.kind == ExecutorKind::ipc) {
        read_agent(top, job);
        return;
    }
    job.executor.components = read_components(top, "components");
    read_group(top, job, launchers);
    if (job.kind == ExecutorKind::launcher) read_program(top, job);
}

[[noreturn]] void fail_reading(const std::filesystem::path& file, const std::string& reason) {
    throw ConfigurationError(ConfigurationError::Kind::job_file, file.string() + ": cannot be read: " + reason);
}

}  // namespace

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
    const auto nearest = nearest_name(name, candidates);
    return nearest.empty() ? std::string() : "; did you mean \"" + nearest + "\"?";
}

Job parse_job(std::string_view text, const std::filesystem::path& file, const std::vector<std::string>& launchers) {
    const auto document = parse_toml(text, file.string());
    const TomlTable top(
        document, file.string(), {},
        {"name", "executor", "group", "components", "program", "agent", "parent", "parent_components", "workflow"});
    Job job;
    job.file = file;
    job.name = top.text("name").value_or(file.stem().string());
    read_executor(top, job, launchers);
    assign(job.parent_plugin, top.table("parent", {"plugin"}).text("plugin"));
    job.parent_components = read_components(top, "parent_components");
    read_workflow(
        top.table("workflow", {"rounds", "train_task", "validate_task", "metric", "task_deadline_seconds", "save"}),
        job.workflow);
    // The tasks of the workflow are those that the program has to know.
    job.exchange.train_task = job.workflow.train_task;
    job.exchange.validate_task = job.workflow.validate_task;
    job.exchange.metric = job.workflow.validate_task.empty() ? std::string() : job.workflow.metric;
    return job;
}

Job read_job(const std::filesystem::path& file, const std::vector<std::string>& launchers) {
    std::error_code error;
    const auto status = std::filesystem::status(file, error);
    if (!std::filesystem::exists(status)) fail_reading(file, "there is no such file");
    if (std::filesystem::is_directory(status)) fail_reading(file, "it is a directory");
    std::ifstream stream(file, std::ios::binary);
    if (!stream) fail_reading(file, std::generic_category().message(errno));
    std::string text;
    try {
        for (std::istreambuf_iterator<char> next(stream), end; next != end && text.size() <= kMaxFileBytes; ++next) {
            text += *next;
        }
    } catch (const std::ios_base::failure& failure) {  // the buffer itself throws it
        fail_reading(file, failure.code().message());
    }
    if (text.size() > kMaxFileBytes) fail_reading(file, "it is larger than 4 MiB");
    return parse_job(text, file, launchers);
}

}  // namespace rankexec::cli
