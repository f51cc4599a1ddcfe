// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

#include "rankexec/core/cli/job_sections.hpp"
#include "rankexec/core/cli/option_names.hpp"
#include "rankexec/core/cli/rank_count.hpp"
#include "rankexec/core/component/nearest_name.hpp"
#include "rankexec/core/system/rank_variables.hpp"

namespace rankexec::cli {
namespace {

constexpr std::int64_t kMaxGpusPerRank = 1024;
constexpr std::int64_t kMaxMemoryMib = 16'777'216;  // 16 TiB
/// What check_group_options takes.
constexpr std::chrono::milliseconds kLongestHeartbeat{std::numeric_limits<std::int32_t>::max()};
constexpr std::chrono::milliseconds kLongestOrphanGrace{std::numeric_limits<std::uint32_t>::max()};

/// How any processes are started and ended.
const std::vector<std::string> kLaunchKeys{"ranks",
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
                                           "heartbeat_timeout_seconds",
                                           "grace_seconds",
                                           "orphan_grace_seconds"};
/// What ranks of ours are.
const std::vector<std::string> kWorkerKeys{"worker",
                                           "plugin",
                                           "executor",
                                           "transport",
                                           "shared_memory_mib",
                                           "ready_timeout_seconds",
                                           "event_timeout_seconds",
                                           "end_run_timeout_seconds",
                                           "abort_grace_seconds"};

std::vector<std::string> keys_for(ExecutorKind kind) {
    auto keys = kLaunchKeys;
    if (kind == ExecutorKind::multi_process) keys.insert(keys.end(), kWorkerKeys.begin(), kWorkerKeys.end());
    return keys;
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

void read_launch(const TomlTable& table, GroupOptions& group, const std::vector<std::string>& launchers) {
    read_ranks(table, group);
    read_launcher(table, group, launchers);
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
    assign(group.heartbeat_timeout,
           table.seconds("heartbeat_timeout_seconds", TomlTable::Zero::allowed, kLongestHeartbeat));
    assign(group.grace, table.seconds("grace_seconds"));
    group.orphan_grace = table.seconds("orphan_grace_seconds", TomlTable::Zero::allowed, kLongestOrphanGrace);
}

void read_executor_id(const TomlTable& table, MultiProcessOptions& options) {
    options.executor_id = table.required_text("executor");
    std::vector<std::string> ids;
    for (const auto& spec : options.components) ids.push_back(spec.id);
    if (std::find(ids.begin(), ids.end(), options.executor_id) != ids.end()) return;
    table.fail("executor", "no component has the id \"" + options.executor_id + "\"" +
                               (ids.empty() ? "; add it with [[components]]" : did_you_mean(options.executor_id, ids)));
}

void read_worker(const TomlTable& table, Job& job) {
    auto& options = job.executor;
    options.group.program = table.text_list("worker");
    if (table.has("worker") && (options.group.program.empty() || options.group.program.front().empty())) {
        table.fail("worker", "must name a program, for example [\"rankexec-worker\"]");
    }
    assign(job.plugin, table.text("plugin"));
    if (table.has("worker") && table.has("plugin")) {
        table.fail("plugin", "is for the stock worker; remove it, or remove \"worker\"");
    }
    if (const auto word = table.text("transport")) {
        const auto transport = transport_named(*word);
        if (!transport) table.fail("transport", "must be \"auto\" or \"zeromq\"");
        options.transport = *transport;
    }
    if (const auto mib = table.integer("shared_memory_mib", 0, kMaxMemoryMib)) {
        options.shared_memory_limit = static_cast<std::size_t>(*mib) << 20U;
    }
    assign(options.ready_timeout, table.seconds("ready_timeout_seconds", TomlTable::Zero::refused));
    assign(options.event_timeout, table.seconds("event_timeout_seconds", TomlTable::Zero::refused));
    assign(options.end_run_timeout, table.seconds("end_run_timeout_seconds", TomlTable::Zero::refused));
    assign(options.abort_grace, table.seconds("abort_grace_seconds"));
    read_executor_id(table, options);
}

}  // namespace

void read_group(const TomlTable& top, Job& job, const std::vector<std::string>& launchers) {
    const auto table = top.table("group", keys_for(job.kind));
    read_launch(table, job.executor.group, launchers);
    if (job.kind == ExecutorKind::multi_process) read_worker(table, job);
}

}  // namespace rankexec::cli
