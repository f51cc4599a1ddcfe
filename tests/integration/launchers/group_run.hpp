// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/executor/rank_group.hpp"
#include "rankexec/core/system/event_loop.hpp"

namespace rankexec {

/// Runs one group to its end, and keeps all that it reported. The hooks are called on the loop's
/// thread, after the report was kept.
class GroupRun {
public:
    explicit GroupRun(GroupOptions options) : options_(std::move(options)) {}

    std::function<void(const wire::RankStarted&)> on_started;
    std::function<void(const wire::RankOutput&)> on_output;
    std::function<void(const wire::RankExited&)> on_exited;

    /// Returns when the group has ended; false, with `lost`, when it could not be started.
    bool run();
    [[nodiscard]] RankGroup& group() { return *group_; }
    [[nodiscard]] EventLoop& loop() { return loop_; }

    std::map<int, wire::RankStarted> started;
    std::map<int, std::string> output;  ///< both streams; rank -1: the launcher command
    std::map<int, wire::RankExited> exited;
    std::optional<Failure> lost;
    std::vector<std::int64_t> surviving;

private:
    GroupOptions options_;
    EventLoop loop_;
    std::unique_ptr<RankGroup> group_;
};

}  // namespace rankexec
