// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/outcome_json.hpp"

#include <nlohmann/json.hpp>

namespace rankexec::cli {
namespace {

using nlohmann::ordered_json;

template <typename T>
ordered_json or_null(bool known, const T& value) {
    return known ? ordered_json(value) : ordered_json(nullptr);
}

ordered_json logs_of(const Failure& failure) {
    if (failure.log_directory.empty()) return nullptr;
    ordered_json logs{{"directory", failure.log_directory}};
    if (failure.rank) {
        const auto stem = failure.log_directory + "/rank-" + std::to_string(*failure.rank);
        logs["stdout"] = stem + ".out";
        logs["stderr"] = stem + ".err";
    }
    return logs;
}

ordered_json others_of(const Failure& failure) {
    auto others = ordered_json::array();
    for (const auto& [ranks, what] : fold(failure.others)) {
        others.push_back({{"ranks", ranks}, {"what", what}, {"same", what == fault_of(failure)}});
    }
    return others;
}

ordered_json stacks_of(const Failure& failure) {
    auto stacks = ordered_json::array();
    for (const auto& [ranks, frames, missing] : fold(failure.stacks)) {
        stacks.push_back({{"ranks", ranks}, {"frames", frames}, {"missing", or_null(!missing.empty(), missing)}});
    }
    return stacks;
}

ordered_json json_of(const Failure& failure) {
    const auto& exit = failure.exit;
    const bool signalled = exit && exit->signalled;
    return {{"code", to_string(failure.code)},
            {"message", failure.message.empty() ? failure.headline() : failure.message},
            {"rank", or_null(failure.rank.has_value(), failure.rank.value_or(-1))},
            {"host", or_null(!failure.host.empty(), failure.host)},
            {"pid", or_null(failure.pid != 0, failure.pid)},
            {"exit_code", or_null(exit && !signalled, exit ? exit->number : 0)},
            {"signal", or_null(signalled, signal_name(exit ? exit->number : 0))},
            {"signal_number", or_null(signalled, exit ? exit->number : 0)},
            {"out_of_memory", failure.out_of_memory},
            {"task", or_null(!failure.task.empty(), failure.task)},
            {"exception", or_null(!failure.exception.empty(), failure.exception)},
            {"stderr", failure.stderr_tail},
            {"stacks", stacks_of(failure)},
            {"others", others_of(failure)},
            {"ranks", failure.ranks},
            {"logs", logs_of(failure)}};
}

}  // namespace

std::string to_json(const CommandResult& result) {
    ordered_json object{
        {"exit_code", result.exit_code}, {"failure", nullptr}, {"surviving_pids", result.surviving_pids}};
    if (result.failure) object["failure"] = json_of(*result.failure);
    return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace rankexec::cli
