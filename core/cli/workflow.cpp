// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/workflow.hpp"

#include <chrono>
#include <utility>

#include "rankexec/core/cli/table.hpp"
#include "rankexec/core/model/printable.hpp"

namespace rankexec::cli {
namespace {

/// The failure of a reply, made up where the reply brings none.
Failure failure_of(const Shareable& reply, const std::string& task, int round) {
    const auto where = "task \"" + task + "\" of round " + std::to_string(round);
    auto failure = reply.failure.value_or(Failure{});
    failure.code = reply.code;
    failure.message = where + (failure.message.empty() ? " failed" : ": " + failure.message);
    return failure;
}

class Workflow {
public:
    Workflow(const WorkflowOptions& options, const WorkflowHooks& hooks) : options_(options), hooks_(hooks) {}

    tl::expected<WorkflowReport, Failure> run() {
        WorkflowReport report;
        for (int round = 1; round <= options_.rounds; ++round) {
            auto done = run_round(round, report.model);
            if (!done) return tl::unexpected(std::move(done.error()));
            report.rounds.push_back(*done);
            if (hooks_.on_round) hooks_.on_round(*done);
        }
        return report;
    }

private:
    /// Trains `model` further and validates what came out of it.
    tl::expected<RoundReport, Failure> run_round(int round, Shareable& model) {
        RoundReport report;
        report.round = round;
        auto trained = run_task(options_.train_task, round, model, report.train_seconds);
        if (!trained) return tl::unexpected(std::move(trained.error()));
        model = std::move(*trained);
        if (options_.validate_task.empty()) return report;
        const auto validated = run_task(options_.validate_task, round, model, report.validate_seconds);
        if (!validated) return tl::unexpected(validated.error());
        report.metric = find_metric(*validated, options_.metric);
        if (!report.metric) return tl::unexpected(metric_missing(round));
        return report;
    }

    tl::expected<Shareable, Failure> run_task(const std::string& task, int round, Shareable input, double& seconds) {
        input.code = ReturnCode::ok;
        input.failure.reset();
        input.headers.insert_or_assign("round", round);
        input.headers.insert_or_assign("rounds", options_.rounds);
        input.headers.insert_or_assign("task_number", ++tasks_);
        if (hooks_.on_task) hooks_.on_task(task, round);
        const auto start = std::chrono::steady_clock::now();
        auto reply = hooks_.execute(task, input);
        seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (!reply.ok()) return tl::unexpected(failure_of(reply, task, round));
        return reply;
    }

    [[nodiscard]] Failure metric_missing(int round) const {
        Failure failure;
        failure.code = ReturnCode::execution_result_error;
        failure.message = "the reply to task \"" + options_.validate_task + "\" of round " + std::to_string(round) +
                          " has no number \"" + options_.metric +
                          "\" among its headers or in its body; set workflow.metric to one that it has";
        return failure;
    }

    const WorkflowOptions& options_;
    const WorkflowHooks& hooks_;
    std::int64_t tasks_ = 0;
};

}  // namespace

tl::expected<WorkflowReport, Failure> run_workflow(const WorkflowOptions& options, const WorkflowHooks& hooks) {
    return Workflow(options, hooks).run();
}

std::optional<double> find_metric(const Shareable& reply, const std::string& name) {
    const auto* value = reply.header(name);
    if (value == nullptr) value = reply.body.find(name);
    if (value == nullptr || (value->if_integer() == nullptr && value->if_real() == nullptr)) return std::nullopt;
    return value->real_or(0);
}

std::string format_rounds(const std::vector<RoundReport>& rounds, const std::string& metric) {
    Table table({"round", printable(metric, kLongestName), "train s", "validate s", "round s"});
    for (const auto& round : rounds) {
        table.add_row({std::to_string(round.round), round.metric ? format_metric(*round.metric) : "-",
                       format_seconds(round.train_seconds), format_seconds(round.validate_seconds),
                       format_seconds(round.train_seconds + round.validate_seconds)});
    }
    return table.text();
}

}  // namespace rankexec::cli
