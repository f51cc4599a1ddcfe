// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/workflow.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace rankexec::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Adds one to the tensor "w" in each train task; "validate" answers with it.
class FakeExecutor {
public:
    Shareable execute(const std::string& task, const Shareable& input) {
        tasks.push_back(task + "#" + std::to_string(input.headers.at("task_number").integer_or(0)) + " round " +
                        std::to_string(input.headers.at("round").integer_or(0)));
        if (task == fail_at) return failure;
        const auto* weights = input.tensor("w");
        const double value = weights == nullptr ? 0 : weights->elements<double>()[0];
        Shareable reply;
        reply.headers = input.headers;
        if (task == "train") {
            const std::array<double, 1> next{value + 1};
            reply.tensors.emplace("w", Tensor::copy_of(std::span<const double>(next), {1}));
        } else {
            reply.headers["accuracy"] = value / 10;
        }
        return reply;
    }

    WorkflowHooks hooks() {
        WorkflowHooks hooks;
        hooks.execute = [this](const std::string& task, const Shareable& input) { return execute(task, input); };
        return hooks;
    }

    std::vector<std::string> tasks;
    std::string fail_at;
    Shareable failure;
};

TEST(Workflow, EachTrainingContinuesFromTheLast) {
    FakeExecutor executor;
    WorkflowOptions options;
    options.rounds = 3;
    auto hooks = executor.hooks();
    std::vector<int> rounds;
    std::vector<std::string> begun;
    hooks.on_round = [&](const RoundReport& round) { rounds.push_back(round.round); };
    hooks.on_task = [&](const std::string& task, int round) { begun.push_back(task + std::to_string(round)); };
    const auto report = run_workflow(options, hooks);
    ASSERT_TRUE(report.has_value());
    EXPECT_THAT(executor.tasks, ElementsAre("train#1 round 1", "validate#2 round 1", "train#3 round 2",
                                            "validate#4 round 2", "train#5 round 3", "validate#6 round 3"));
    EXPECT_THAT(rounds, ElementsAre(1, 2, 3));
    EXPECT_THAT(begun, ElementsAre("train1", "validate1", "train2", "validate2", "train3", "validate3"));
    EXPECT_EQ(report->rounds.back().metric, 0.3);
    EXPECT_EQ(report->model.tensor("w")->elements<double>()[0], 3);
}

TEST(Workflow, CanLeaveOutTheValidation) {
    FakeExecutor executor;
    WorkflowOptions options;
    options.rounds = 2;
    options.validate_task.clear();
    const auto report = run_workflow(options, executor.hooks());
    ASSERT_TRUE(report.has_value());
    EXPECT_EQ(executor.tasks.size(), 2U);
    EXPECT_FALSE(report->rounds.back().metric.has_value());
}

TEST(Workflow, AFailedTaskEndsItAndIsNamed) {
    FakeExecutor executor;
    executor.fail_at = "validate";
    Failure failure;
    failure.message = "rank 2 threw: no data";
    failure.rank = 2;
    executor.failure = Shareable::failed(failure);
    const auto report = run_workflow({}, executor.hooks());
    ASSERT_FALSE(report.has_value());
    EXPECT_EQ(report.error().rank, 2);
    EXPECT_EQ(report.error().message, "task \"validate\" of round 1: rank 2 threw: no data");
}

TEST(Workflow, AFailureWithoutDetailsKeepsItsCode) {
    FakeExecutor executor;
    executor.fail_at = "train";
    executor.failure.code = ReturnCode::task_timeout;
    const auto report = run_workflow({}, executor.hooks());
    ASSERT_FALSE(report.has_value());
    EXPECT_EQ(report.error().code, ReturnCode::task_timeout);
}

TEST(Workflow, AMissingMetricIsAnError) {
    FakeExecutor executor;
    WorkflowOptions options;
    options.metric = "f1";
    const auto report = run_workflow(options, executor.hooks());
    ASSERT_FALSE(report.has_value());
    EXPECT_EQ(report.error().code, ReturnCode::execution_result_error);
    EXPECT_THAT(report.error().message, HasSubstr("\"f1\""));
}

TEST(Workflow, FindsTheMetricInHeadersOrBody) {
    Shareable reply;
    EXPECT_FALSE(find_metric(reply, "accuracy").has_value());
    reply.body = Value::Map{{"accuracy", 0.5}};
    EXPECT_EQ(find_metric(reply, "accuracy"), 0.5);
    reply.headers["accuracy"] = 1;
    EXPECT_EQ(find_metric(reply, "accuracy"), 1.0);
    reply.headers["accuracy"] = "high";
    EXPECT_FALSE(find_metric(reply, "accuracy").has_value());
}

TEST(Workflow, PrintsTheRounds) {
    EXPECT_EQ(format_rounds({{1, 0.5, 0.25, 0.9021}, {2, 0.5, 0, std::nullopt}}, "accuracy"),
              "round  accuracy  train s  validate s  round s\n"
              "    1    0.9021     0.50        0.25     0.75\n"
              "    2         -     0.50        0.00     0.50\n");
}

}  // namespace
}  // namespace rankexec::cli
