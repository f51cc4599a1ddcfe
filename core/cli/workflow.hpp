// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/cli/workflow_options.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/shareable.hpp"

namespace rankexec::cli {

/// One round as it went.
struct RoundReport {
    int round = 0;
    double train_seconds = 0;
    double validate_seconds = 0;
    std::optional<double> metric;  ///< nothing when it was not validated
};

struct WorkflowReport {
    std::vector<RoundReport> rounds;
    Shareable model;  ///< reply of the last train task
};

/// Runs the rounds of a workflow through functions that do the work, so that it can be tested
/// without a group.
struct WorkflowHooks {
    /// Executes one task on the group and returns its reply.
    std::function<Shareable(const std::string& task, const Shareable& input)> execute;
    /// A task is about to be executed.
    std::function<void(const std::string& task, int round)> on_task;
    /// A round has ended.
    std::function<void(const RoundReport& round)> on_round;
};

/// Fails with the failure of the first task that fails, or when a validation does not give the metric.
[[nodiscard]] tl::expected<WorkflowReport, Failure> run_workflow(const WorkflowOptions& options,
                                                                 const WorkflowHooks& hooks);

/// The figure of that name: a header, or a member of the body. Nothing when it is no number.
[[nodiscard]] std::optional<double> find_metric(const Shareable& reply, const std::string& name);

/// The rounds as a table, with the metric as a column.
[[nodiscard]] std::string format_rounds(const std::vector<RoundReport>& rounds, const std::string& metric);

}  // namespace rankexec::cli
