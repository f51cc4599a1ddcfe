// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/executor/multi_process_executor.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// One task of a group, from its submission to its reply.
struct GroupTask {
    std::uint64_t id = 0;
    std::string name;
    Shareable input;
    Context context;
    ExecuteOptions options;
    EventLoop::Clock::time_point deadline;           ///< when options.deadline is set
    EventLoop::TimerId deadline_timer = 0;           ///< the session's
    std::function<void(GroupReply&&)> on_done = {};  ///< on the loop's thread, once
};

/// What each rank has answered so far, by rank.
using RankResults = std::vector<std::optional<wire::Result>>;

/// What the ranks are sent.
[[nodiscard]] wire::Execute message_of(const GroupTask& task);

/// Every rank has answered, and well: applies their changes to the task's context and makes the reply.
[[nodiscard]] GroupReply reply_to(GroupTask& task, RankResults&& results);

}  // namespace rankexec
