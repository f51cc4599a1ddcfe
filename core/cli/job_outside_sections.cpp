// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdint>

#include "rankexec/core/cli/job_sections.hpp"
#include "rankexec/core/cli/table.hpp"

namespace rankexec::cli {
namespace {

constexpr std::int64_t kMostAttempts = 1'000'000;

void read_tasks(const TomlTable& table, Job& job) {
    assign(job.exchange.submit_model_task, table.text("submit_model_task"));
    job.exchange.other_tasks = table.text_list("other_tasks");
    assign(job.exchange.train_with_evaluation, table.boolean("train_with_evaluation"));
}

void read_pipe(const TomlTable& table, ExchangePipeOptions& pipe) {
    if (const auto word = table.text("pipe")) {
        if (*word != "zeromq" && *word != "files") table.fail("pipe", "must be \"zeromq\" or \"files\"");
        pipe.form = *word == "files" ? ExchangePipeOptions::Form::files : ExchangePipeOptions::Form::zeromq;
    }
    assign(pipe.directory, table.text("pipe_directory"));
    if (table.has("pipe_directory") && pipe.form != ExchangePipeOptions::Form::files) {
        table.fail("pipe_directory", "is for pipe = \"files\"; add that, or remove it");
    }
}

void read_exchange(const TomlTable& table, TaskExchangeOptions& exchange) {
    using Zero = TomlTable::Zero;
    assign(exchange.open_timeout, table.seconds("open_timeout_seconds", Zero::refused));
    assign(exchange.read, table.seconds("read_seconds", Zero::refused));
    assign(exchange.heartbeat_interval, table.seconds("heartbeat_interval_seconds", Zero::refused));
    // `rankexec agent run` has no option for it, and a program with the library has this default too.
    const auto agents = PipeHandlerOptions{}.peer_gone_after;
    if (exchange.heartbeat_interval >= agents) {
        const auto text = [](auto time) { return format_seconds(std::chrono::duration<double>(time).count()) + " s"; };
        table.fail("heartbeat_interval_seconds", "is " + text(exchange.heartbeat_interval) +
                                                     ", and the program's agent takes an executor for gone after " +
                                                     text(agents) + " of silence; lower it below that");
    }
    assign(exchange.peer_gone_after, table.seconds("peer_gone_after_seconds"));
    assign(exchange.resend_interval, table.seconds("resend_interval_seconds"));
    assign(exchange.task_taken_within, table.seconds("task_taken_within_seconds", Zero::refused));
    assign(exchange.notify_timeout, table.seconds("notify_timeout_seconds", Zero::refused));
}

void read_launching(const TomlTable& table, Job& job) {
    using Zero = TomlTable::Zero;
    assign(job.exchange.launch_timeout, table.seconds("launch_timeout_seconds"));
    assign(job.exchange.pre_initialise, table.seconds("pre_initialise_seconds", Zero::refused));
    assign(job.exchange.last_result_transfer, table.seconds("last_result_transfer_seconds", Zero::refused));
    assign(job.exchange.deferred_stop, table.seconds("deferred_stop_seconds"));
    assign(job.exchange.status_timeout, table.seconds("status_timeout_seconds", Zero::refused));
    assign(job.exchange.stop_timeout, table.seconds("stop_timeout_seconds", Zero::refused));
    assign(job.program.launch_once, table.boolean("launch_once"));
    assign(job.program.shutdown_timeout, table.seconds("shutdown_timeout_seconds"));
    job.program.clean_up = table.text_list("clean_up");
    assign(job.program.clean_up_timeout, table.seconds("clean_up_timeout_seconds", Zero::refused));
}

const std::vector<std::string> kProgramKeys{"command",
                                            "launch_once",
                                            "clean_up",
                                            "pipe",
                                            "pipe_directory",
                                            "submit_model_task",
                                            "other_tasks",
                                            "train_with_evaluation",
                                            "launch_timeout_seconds",
                                            "pre_initialise_seconds",
                                            "last_result_transfer_seconds",
                                            "deferred_stop_seconds",
                                            "shutdown_timeout_seconds",
                                            "clean_up_timeout_seconds",
                                            "status_timeout_seconds",
                                            "stop_timeout_seconds",
                                            "open_timeout_seconds",
                                            "read_seconds",
                                            "heartbeat_interval_seconds",
                                            "peer_gone_after_seconds",
                                            "resend_interval_seconds",
                                            "task_taken_within_seconds",
                                            "notify_timeout_seconds"};

const std::vector<std::string> kAgentKeys{"id",
                                          "site",
                                          "base_folder",
                                          "key_file",
                                          "address",
                                          "say_bye",
                                          "max_attempts",
                                          "send_timeout_seconds",
                                          "resend_interval_seconds",
                                          "heartbeat_interval_seconds",
                                          "disconnected_after_seconds",
                                          "dead_after_seconds",
                                          "acknowledge_timeout_seconds"};

}  // namespace

void read_program(const TomlTable& top, Job& job) {
    const auto table = top.table("program", kProgramKeys);
    auto& command = job.executor.group.program;
    command = table.text_list("command");
    if (command.empty() || command.front().empty()) {
        table.fail("command", "must name a program, for example [\"./train\"]");
    }
    read_pipe(table, job.exchange.pipe);
    read_exchange(table, job.exchange.exchange);
    read_launching(table, job);
    read_tasks(table, job);
}

void read_agent(const TomlTable& top, Job& job) {
    using Zero = TomlTable::Zero;
    const auto table = top.table("agent", kAgentKeys);
    job.agent.agent_id = table.required_text("id");
    assign(job.agent.site, table.text("site"));
    assign(job.agent.base_folder, table.text("base_folder"));
    assign(job.agent.key_file, table.text("key_file"));
    assign(job.agent.address, table.text("address"));
    assign(job.agent.say_bye, table.boolean("say_bye"));
    assign(job.agent.max_attempts, table.integer("max_attempts", 1, kMostAttempts));
    assign(job.agent.send_timeout, table.seconds("send_timeout_seconds", Zero::refused));
    assign(job.agent.resend_interval, table.seconds("resend_interval_seconds", Zero::refused));
    assign(job.agent.heartbeat_interval, table.seconds("heartbeat_interval_seconds", Zero::refused));
    assign(job.agent.disconnected_after, table.seconds("disconnected_after_seconds", Zero::refused));
    assign(job.agent.dead_after, table.seconds("dead_after_seconds"));
    assign(job.agent.acknowledge_timeout, table.seconds("acknowledge_timeout_seconds", Zero::refused));
}

}  // namespace rankexec::cli
