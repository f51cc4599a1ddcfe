// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/deadline_signal.hpp"
#include "rankexec/core/cli/dry_run.hpp"
#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/cli/interrupt_watch.hpp"
#include "rankexec/core/cli/job_executor.hpp"
#include "rankexec/core/cli/output_writer.hpp"
#include "rankexec/core/cli/resolve_job.hpp"
#include "rankexec/core/cli/run_display.hpp"
#include "rankexec/core/cli/table.hpp"
#include "rankexec/core/cli/terminal.hpp"
#include "rankexec/core/cli/workflow.hpp"
#include "rankexec/core/component/component_registry.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/component/plugin.hpp"
#include "rankexec/core/launch/rank_launcher.hpp"
#include "rankexec/core/model/event_type.hpp"
#include "rankexec/core/numpy/npz.hpp"

namespace rankexec::cli {
namespace {

constexpr const char* kMetricEvent = "metric";
constexpr const char* kMetricProperty = "metric";
constexpr const char* kDisplayId = "rankexec.display";

/// Shows the ranks' metric events.
class MetricListener : public Component {
public:
    explicit MetricListener(RunDisplay& display) : display_(display) {}

    void handle_event(const std::string& type, Context& context) override {
        if (type != kMetricEvent) return;
        const auto rank = context.integer_or(property::kFromRank, -1);
        const auto figures = context.get(kMetricProperty);
        if (rank >= 0 && figures) display_.show_metric(static_cast<int>(rank), *figures);
    }

private:
    RunDisplay& display_;
};

/// One run of a job: the engine, its executor, and the workflow on it.
class JobRun {
public:
    JobRun(const Job& job, RunDisplay& display, Signal abort) : job_(job), display_(display), abort_(std::move(abort)) {
        ComponentRegistry registry;
        if (!job.parent_plugin.empty()) load_plugin(job.parent_plugin, registry);
        engine_.add(kDisplayId, std::make_unique<MetricListener>(display));
        build_components(engine_, registry, job.parent_components);
        executor_ =
            make_job_executor(job, engine_, [&display](int rank, wire::OutputStream stream, std::string_view bytes) {
                display.show_rank_output(rank, stream, bytes);
            });
    }

    tl::expected<WorkflowReport, Failure> run() {
        auto context = engine_.new_context();
        if (auto ready = executor_->initialise(context, abort_); !ready)
            return tl::unexpected(std::move(ready.error()));
        engine_.fire_event(std::string(event::kStartRun), context);
        auto report = run_workflow(job_.workflow, hooks(context));
        workers_ = executor_->workers();
        engine_.fire_event(std::string(event::kAboutToEndRun), context);
        display_.hide_launcher();
        engine_.fire_event(std::string(event::kEndRun), context);
        // Handles what the event did not end: a group that failed.
        executor_->finalise();
        return report;
    }

    [[nodiscard]] const std::vector<JobExecutor::Worker>& workers() const { return workers_; }
    /// After the run.
    [[nodiscard]] JobExecutor::Leftovers leftovers() const { return executor_->leftovers(); }

private:
    WorkflowHooks hooks(Context& context) {
        WorkflowHooks hooks;
        hooks.execute = [this, &context](const std::string& task, const Shareable& input) {
            const auto deadline = job_.workflow.task_deadline;
            // Programs whose output nobody reads can only be ended once that is no longer waited for.
            const DeadlineSignal over({}, deadline, "the task's time is over");
            const auto hurry = over.signal().on_trigger([this](const std::string&) { display_.hurry(); });
            auto reply = executor_->execute(task, input, context, abort_, deadline);
            if (reply.code == ReturnCode::task_timeout) display_.hurry();
            return reply;
        };
        hooks.on_task = [this](const std::string& task, int round) {
            display_.begin_task(task, round, job_.workflow.rounds);
        };
        hooks.on_round = [this](const RoundReport& round) {
            auto line = "round " + std::to_string(round.round) + "/" + std::to_string(job_.workflow.rounds);
            if (round.metric) line += "  " + job_.workflow.metric + " " + format_metric(*round.metric);
            display_.print(line + "  " + format_seconds(round.train_seconds + round.validate_seconds) + " s\n");
        };
        return hooks;
    }

    const Job& job_;
    RunDisplay& display_;
    const Signal abort_;
    Engine engine_;
    std::unique_ptr<JobExecutor> executor_;
    std::vector<JobExecutor::Worker> workers_;
};

std::string format_work(const std::vector<JobExecutor::Worker>& workers, const std::vector<ProgressBoard::Work>& work) {
    const auto known = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
    Table table({"rank", "host", "pid", "samples", "metric events"});
    for (std::size_t index = 0; index < workers.size(); ++index) {
        const auto& worker = workers[index];
        table.add_row({worker.name, known(worker.place), known(worker.pid), format_figure(work.at(index).samples),
                       std::to_string(work.at(index).events)});
    }
    return table.text();
}

/// What went wrong, after a complaint.
std::optional<Failure> save_model(const WorkflowOptions& workflow, const Shareable& model, RunDisplay& display) {
    if (workflow.save_file.empty()) return std::nullopt;
    if (const auto saved = numpy::write_npz(workflow.save_file, model.tensors); !saved) {
        display.print_error("rankexec: " + saved.error().describe() + "\n");
        return saved.error();
    }
    display.print("model saved to " + workflow.save_file + "\n");
    return std::nullopt;
}

CommandResult conclude(const Job& job, const WorkflowReport& report, const std::vector<JobExecutor::Worker>& workers,
                       RunDisplay& display) {
    display.print("\n" + format_rounds(report.rounds, job.workflow.metric) + "\n" +
                  format_work(workers, display.work()) + "\n");
    auto failure = save_model(job.workflow, report.model, display);
    const auto& metric = report.rounds.back().metric;
    if (metric) display.print("held_out_" + job.workflow.metric + "=" + format_metric(*metric) + "\n");
    return {failure ? kExitFailure : kExitSuccess, std::move(failure)};
}

/// Starts nothing before everything that can be checked was.
bool can_save(const Job& job) {
    if (job.workflow.save_file.empty()) return true;
    const std::filesystem::path file(job.workflow.save_file);
    std::error_code error;  // "." can be accessed even after it was deleted, but is no path any more
    const auto folder = std::filesystem::absolute(file, error).parent_path();
    if (!error && ::access(folder.c_str(), W_OK | X_OK) != 0) error.assign(errno, std::generic_category());
    if (error) complain("the model cannot be saved as " + file.string() + ": " + error.message());
    return !error;
}

InterruptWatch::Hooks interrupt_hooks(RunDisplay& display, const Signal& abort) {
    InterruptWatch::Hooks hooks;
    hooks.on_first = [&display, abort](int signal) {
        display.print_error(std::string("rankexec: ") + sigdescr_np(signal) +
                            ": ending the run; once more to end it by force\n");
        display.hide_launcher();
        abort.trigger(sigdescr_np(signal));
    };
    // The guardian ends the group when this process is gone. The terminal needs no care: the cursor is
    // below the block, and its settings were never touched.
    hooks.on_second = [](int signal) { ::_exit(exit_code_of_signal(signal)); };
    hooks.on_suspend = [&display] {
        display.print_error("rankexec: a run cannot be suspended: its ranks would take this process for gone\n");
    };
    return hooks;
}

RunDisplay::Options display_options(const GroupOptions& group) {
    RunDisplay::Options options;
    options.world_size = group.world_size;
    options.launcher = group.launcher;
    options.live = ::isatty(STDOUT_FILENO) == 1;
    options.shared_output = same_file(STDOUT_FILENO, STDERR_FILENO);
    options.size = [] { return terminal_size(STDOUT_FILENO); };
    return options;
}

/// The job is done, but what it wrote is not all there.
Failure lost_output(std::string message) {
    Failure failure;
    failure.code = ReturnCode::execution_result_error;
    failure.message = std::move(message);
    return failure;
}

/// Why the run failed; also when it is standard output alone that nobody reads.
void print_last(const Failure& failure, OutputWriter& writer, RunDisplay& display) {
    const auto text = "rankexec: " + failure.describe() + "\n";
    display.print_error(text);
    writer.flush();
    if (writer.abandoned()) write_while_taken(STDERR_FILENO, text);
}

CommandResult run_job(const Job& job, bool json) {
    ignore_terminal_signals();
    InterruptWatch::block();
    const Signal abort;
    std::atomic<int> output_error = 0;
    std::atomic<int> error_error = 0;
    OutputWriter writer([&](int fd, int error) {
        (fd == STDOUT_FILENO ? output_error : error_error) = error;
        if (fd != STDOUT_FILENO) return;
        abort.trigger(error == EPIPE ? "nobody reads the output" : text_of_output_error(error));
    });
    RunDisplay display(writer, display_options(job.executor.group));
    const auto hurry = abort.on_trigger([&display](const std::string&) { display.hurry(); });
    const InterruptWatch interrupts(interrupt_hooks(display, abort));
    JobRun run(job, display, abort);
    const auto report = run.run();
    display.end();
    if (report) {
        auto result = conclude(job, *report, run.workers(), display);
        writer.flush();
        auto ended = run.leftovers();
        result.surviving_pids = std::move(ended.surviving_pids);
        if (result.exit_code != kExitSuccess) return result;
        if (ended.end_failure) {
            result.exit_code = exit_code_of(*ended.end_failure);
            result.failure = std::move(ended.end_failure);
        } else if (const int error = output_error != 0 ? output_error : error_error; error != 0) {
            result.exit_code = exit_code_of_output(error);
            result.failure = lost_output(text_of_output_error(error));
        } else if (!ended.log_error.empty()) {
            result.exit_code = kExitFailure;
            result.failure = lost_output(ended.log_error);
        }
        if (!json && result.failure) print_last(*result.failure, writer, display);
        return result;
    }
    if (!json) print_last(report.error(), writer, display);
    writer.flush();
    const int code = interrupts.first_signal() != 0 ? exit_code_of_signal(interrupts.first_signal())
                     : output_error != 0            ? exit_code_of_output(output_error)
                                                    : exit_code_of(report.error());
    return {code, report.error(), run.leftovers().surviving_pids};
}

}  // namespace

namespace {

tl::expected<std::string, Failure> describe_job(const Job& job) {
    if (job.kind == ExecutorKind::ipc) return "agent: " + agent_name(job) + ", which runs already\n";
    return describe_launch(job.executor.group);
}

CommandResult run_or_describe(const RunCommand& command, Job& job) {
    if (!fits_this_machine(job.executor.group)) return {kExitUsage, {}};
    if (const auto resolved = resolve_job(job); !resolved) {
        complain(resolved.error().message);
        return {resolved.error().exit_code, {}};
    }
    if (!can_save(job)) return {kExitUsage, {}};
    if (!command.dry_run) return run_job(job, command.json);
    const auto text = describe_job(job);
    if (!text) complain(text.error().describe());
    if (!text) return {exit_code_of(text.error()), text.error()};
    return {print_text(*text), {}};
}

}  // namespace

CommandResult run(const RunCommand& command) {
    auto job = read_job(command.job_file, launcher_names());
    apply_overrides(command, job);
    try {
        return run_or_describe(command, job);
    } catch (const ConfigurationError& error) {
        // What only shows when all of it comes together has no line.
        throw ConfigurationError(error.kind(), job.file.string() + ": " + error.what());
    }
}

}  // namespace rankexec::cli
