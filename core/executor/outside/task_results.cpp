// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/task_results.hpp"

#include <algorithm>
#include <vector>

namespace rankexec {
namespace {

bool is_number(const Value* value) {
    return value != nullptr && (value->if_integer() != nullptr || value->if_real() != nullptr);
}

bool has_metrics(const Shareable& result, const std::string& metric) {
    if (!metric.empty()) return is_number(result.header(metric)) || is_number(result.body.find(metric));
    const auto* body = result.body.if_map();
    return body != nullptr && std::ranges::any_of(*body, [](const auto& member) { return is_number(&member.second); });
}

std::vector<std::string> names(const LauncherExecutorOptions& options) {
    std::vector<std::string> all{options.train_task, options.validate_task, options.submit_model_task};
    all.insert(all.end(), options.other_tasks.begin(), options.other_tasks.end());
    std::erase(all, std::string());
    return all;
}

}  // namespace

bool is_known_task(const LauncherExecutorOptions& options, const std::string& task) {
    return std::ranges::count(names(options), task) > 0;
}

std::string known_tasks(const LauncherExecutorOptions& options) {
    std::string text;
    for (const auto& name : names(options)) text += (text.empty() ? "" : ", ") + name;
    return text;
}

std::optional<std::string> result_error(const LauncherExecutorOptions& options, const std::string& task,
                                        const Shareable& result) {
    const bool wants_metrics =
        task == options.validate_task || (task == options.train_task && options.train_with_evaluation);
    if (wants_metrics && !has_metrics(result, options.metric)) {
        return options.metric.empty() ? "it holds no metrics: its body must be a map with at least one number"
                                      : "it holds no metric: there must be a number \"" + options.metric +
                                            "\" among its headers or in its body";
    }
    if (task == options.submit_model_task && result.tensors.empty()) {
        return "it holds no model: there must be at least one tensor";
    }
    return std::nullopt;
}

}  // namespace rankexec
