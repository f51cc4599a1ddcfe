// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/job_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

#include "rankexec/core/cli/option_names.hpp"
#include "rankexec/core/cli/rank_count.hpp"
#include "rankexec/core/cli/toml_table.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/nearest_name.hpp"
#include "rankexec/core/system/rank_variables.hpp"

namespace rankexec::cli {
namespace {

constexpr std::int64_t kMaxRounds = 1'000'000;
constexpr std::int64_t kMaxGpusPerRank = 1024;
constexpr std::int64_t kMaxMemoryMib = 16'777'216;  // 16 TiB
/// What check_group_options takes.
constexpr std::chrono::milliseconds kLongestHeartbeat{std::numeric_limits<std::int32_t>::max()};
constexpr std::chrono::milliseconds kLongestOrphanGrace{std::numeric_limits<std::uint32_t>::max()};
constexpr std::uintmax_t kMaxFileBytes = 4U << 20U;

/// Leaves the default alone when the key is absent.
template <typename Target, typename Source>
void assign(Target& target, std::optional<Source>&& value) {
    if (value) target = static_cast<Target>(*std::move(value));
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
    const auto nearest = nearest_name(name, candidates);
    return nearest.empty() ? std::string() : "; did you mean \"" + nearest + "\"?";
}

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

void read_ranks(const TomlTable& table, GroupOptions& group) {
    const auto ranks =
        table.integer("ranks", std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
    if (!ranks) return;
    const auto checked = check_rank_count(*ranks);
    if (!checked) table.fail("ranks", checked.error());
    group.world_size = *checked;
}

void read_launcher(const TomlTable& table, GroupOptions& group, const std::vector<std::string>& launchers) {
    assign(group.launcher, table.text("launcher"));
    if (std::find(launchers.begin(), launchers.end(), group.launcher) == launchers.end()) {
        table.fail("launcher",
                   "there is no launcher \"" + group.launcher + "\"" + did_you_mean(group.launcher, launchers));
    }
    group.launcher_args = table.text_list("launcher_args");
    assign(group.command_template, table.text("command_template"));
}

void read_group(const TomlTable& table, Job& job, const std::vector<std::string>& launchers) {
    auto& group = job.executor.group;
    read_ranks(table, group);
    read_launcher(table, group, launchers);
    group.program = table.text_list("worker");
    if (table.has("worker") && (group.program.empty() || group.program.front().empty())) {
        table.fail("worker", "must name a program, for example [\"rankexec-worker\"]");
    }
    assign(job.plugin, table.text("plugin"));
    if (table.has("worker") && table.has("plugin")) {
        table.fail("plugin", "is for the stock worker; remove it, or remove \"worker\"");
    }
    group.hosts = table.text_list("hosts");
    group.environment = table.assignments("environment", [](std::string_view name) {
        return why_reserved(name, "\"master_address\"", "\"master_port\"");
    });
    assign(group.directory, table.text("directory"));
    assign(group.gpus_per_rank, table.integer("gpus_per_rank", 0, kMaxGpusPerRank));
    assign(group.master_address, table.text("master_address"));
    assign(group.master_port, table.integer("master_port", 0, 65535));
    assign(group.advertise_address, table.text("advertise_address"));
    assign(group.log_directory, table.text("log_dir"));
    if (const auto word = table.text("contain")) {
        const auto containment = containment_named(*word);
        if (!containment) table.fail("contain", "must be \"auto\" or \"pidns\"");
        group.containment = *containment;
    }
    if (const auto word = table.text("transport")) {
        const auto transport = transport_named(*word);
        if (!transport) table.fail("transport", "must be \"auto\" or \"zeromq\"");
        job.executor.transport = *transport;
    }
    if (const auto mib = table.integer("shared_memory_mib", 0, kMaxMemoryMib)) {
        job.executor.shared_memory_limit = static_cast<std::size_t>(*mib) << 20U;
    }
    assign(group.heartbeat_timeout,
           table.seconds("heartbeat_timeout_seconds", TomlTable::Zero::allowed, kLongestHeartbeat));
    assign(group.grace, table.seconds("grace_seconds"));
    group.orphan_grace = table.seconds("orphan_grace_seconds", TomlTable::Zero::allowed, kLongestOrphanGrace);
    assign(job.executor.ready_timeout, table.seconds("ready_timeout_seconds", TomlTable::Zero::refused));
    assign(job.executor.event_timeout, table.seconds("event_timeout_seconds", TomlTable::Zero::refused));
    assign(job.executor.end_run_timeout, table.seconds("end_run_timeout_seconds", TomlTable::Zero::refused));
    assign(job.executor.abort_grace, table.seconds("abort_grace_seconds"));
}

void read_executor_id(const TomlTable& table, MultiProcessOptions& options) {
    options.executor_id = table.required_text("executor");
    std::vector<std::string> ids;
    for (const auto& spec : options.components) ids.push_back(spec.id);
    if (std::find(ids.begin(), ids.end(), options.executor_id) != ids.end()) return;
    table.fail("executor", "no component has the id \"" + options.executor_id + "\"" +
                               (ids.empty() ? "; add it with [[components]]" : did_you_mean(options.executor_id, ids)));
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

const std::vector<std::string>& group_keys() {
    static const std::vector<std::string> keys{"ranks",
                                               "worker",
                                               "plugin",
                                               "executor",
                                               "launcher",
                                               "launcher_args",
                                               "command_template",
                                               "hosts",
                                               "directory",
                                               "environment",
                                               "gpus_per_rank",
                                               "master_address",
                                               "master_port",
                                               "advertise_address",
                                               "log_dir",
                                               "contain",
                                               "transport",
                                               "shared_memory_mib",
                                               "heartbeat_timeout_seconds",
                                               "grace_seconds",
                                               "orphan_grace_seconds",
                                               "ready_timeout_seconds",
                                               "event_timeout_seconds",
                                               "end_run_timeout_seconds",
                                               "abort_grace_seconds"};
    return keys;
}

toml::table parse_toml(std::string_view text, const std::string& file) {
    try {
        return toml::parse(text, file);
    } catch (const toml::parse_error& error) {
        throw ConfigurationError(ConfigurationError::Kind::job_file,
                                 file + ":" + std::to_string(error.source().begin.line) +
                                     ": not valid TOML: " + std::string(error.description()));
    }
}

[[noreturn]] void fail_reading(const std::filesystem::path& file, const std::string& reason) {
    throw ConfigurationError(ConfigurationError::Kind::job_file, file.string() + ": cannot be read: " + reason);
}

}  // namespace

Job parse_job(std::string_view text, const std::filesystem::path& file, const std::vector<std::string>& launchers) {
    const auto document = parse_toml(text, file.string());
    const TomlTable top(document, file.string(), {},
                        {"name", "group", "components", "parent", "parent_components", "workflow"});
    Job job;
    job.file = file;
    job.name = top.text("name").value_or(file.stem().string());
    const auto group = top.table("group", group_keys());
    read_group(group, job, launchers);
    job.executor.components = read_components(top, "components");
    read_executor_id(group, job.executor);
    assign(job.parent_plugin, top.table("parent", {"plugin"}).text("plugin"));
    job.parent_components = read_components(top, "parent_components");
    read_workflow(
        top.table("workflow", {"rounds", "train_task", "validate_task", "metric", "task_deadline_seconds", "save"}),
        job.workflow);
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
