// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/group_task.hpp"

#include <utility>

namespace rankexec {

wire::Execute message_of(const GroupTask& task) {
    wire::Execute message;
    message.task_id = task.id;
    message.task = task.name;
    message.context = task.context.serialisable();
    message.input = task.input;
    message.results = task.options.all_results ? wire::ResultsWanted::all : wire::ResultsWanted::rank_zero;
    return message;
}

GroupReply reply_to(GroupTask& task, RankResults&& results) {
    GroupReply reply;
    if (!task.options.all_results) {
        task.context.apply(results.front()->changes);
        reply.reply = std::move(results.front()->reply);
        return reply;
    }
    // Rank 0 last, so that it wins.
    for (std::size_t rank = results.size(); rank-- > 0;) task.context.apply(results[rank]->changes);
    for (auto& result : results) reply.results.push_back(std::move(result->reply));
    reply.reply = reply.results.front();
    return reply;
}

}  // namespace rankexec
