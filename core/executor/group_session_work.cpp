// SPDX-License-Identifier: Apache-2.0
// A group's tasks and events while it is up.
#include <algorithm>
#include <utility>

#include "rankexec/core/executor/group_session.hpp"
#include "rankexec/core/model/rank_list.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

/// After the settle window, for a supervisor to tell what the failed rank wrote last.
constexpr std::chrono::milliseconds kTailPatience{100};

/// An abort overtakes what is large, and so must not be.
constexpr std::size_t kReasonBytes = std::size_t{64} * 1024;

/// For ranks to say where they hang; a rank that is stopped never does.
constexpr std::chrono::milliseconds kStackPatience{1000};

/// Within the limits that a rank has promised to keep.
RankStack bounded(int rank, wire::StackReport&& report) {
    RankStack stack{rank, {}, std::move(report.missing)};
    std::size_t bytes = 0;
    for (auto& frame : report.frames) {
        bytes += frame.size();
        if (stack.frames.size() == wire::kReportedFrames || bytes > wire::kReportedBytes) break;
        stack.frames.push_back(std::move(frame));
    }
    if (stack.missing.size() > wire::kReportedBytes) stack.missing.resize(wire::kReportedBytes);
    if (stack.frames.empty() && stack.missing.empty()) stack.missing = "its report is empty";
    return stack;
}

}  // namespace

GroupSession::OpenTask::OpenTask() = default;

// ---- tasks --------------------------------------------------------------------------------------

void GroupSession::submit(GroupTask task) {
    const auto refuse = [&](ReturnCode code, std::string message) {
        GroupReply reply;
        reply.reply = Shareable::failed(code, std::move(message));
        task.on_done(std::move(reply));
    };
    if (state_ == GroupState::failing || state_ == GroupState::failed) {
        GroupReply reply;
        reply.reply = Shareable::failed(*failure_);
        task.on_done(std::move(reply));
    } else if (state_ != GroupState::ready) {
        refuse(ReturnCode::not_ready, "no group is up (" + std::string(to_string(state_)) + "); initialise first" +
                                          (failure_ ? "; the last one failed: " + failure_->message : ""));
    } else if (queue_.size() >= options_.queue_limit) {
        refuse(ReturnCode::bad_request_data,
               std::to_string(queue_.size()) + " tasks are waiting already; the queue takes no more");
    } else {
        if (task.options.deadline.count() > 0) {
            task.deadline_timer = loop_.call_at(task.deadline, [this, id = task.id] { expire(id); });
        }
        queue_.push_back(std::move(task));
        start_next_task();
    }
}

void GroupSession::start_next_task() {
    if (open_ || queue_.empty() || state_ != GroupState::ready || turn_.lane_taken()) return;
    open_.emplace();
    open_->task = std::move(queue_.front());
    queue_.pop_front();
    open_->results.resize(ranks_.size());
    events_->begin_task(open_->task.id, open_->task.context);
    send_open_task();
}

void GroupSession::send_open_task() {
    const auto body = wire::encode_body(message_of(open_->task));
    for (int rank = 0; rank < options_.group.world_size; ++rank) {
        const auto sent = body ? execution_->send(rank, *body) : tl::unexpected(body.error());
        if (!sent) {
            // It is the same for every rank, so this is the first: nothing was sent.
            Failure failure;
            failure.code = ReturnCode::bad_request_data;
            failure.message = "task \"" + open_->task.name + "\" cannot be sent: " + sent.error();
            finish_task(std::move(failure));
            return;
        }
    }
}

/// Takes a task over from the lane, in whose turn it is.
void GroupSession::adopt(GroupTask&& task, RankResults&& results, bool sent) {
    const auto id = task.id;
    const auto is_open = [&] { return open_ && open_->task.id == id; };
    open_.emplace();
    open_->task = std::move(task);
    open_->results.resize(ranks_.size());
    open_->by_memory = sent;
    if (open_->task.options.deadline.count() > 0) {
        open_->task.deadline_timer = loop_.call_at(open_->task.deadline, [this, id] { expire(id); });
    }
    if (!sent) return send_open_task();
    for (int rank = 0; rank < options_.group.world_size; ++rank) {
        auto& result = results[static_cast<std::size_t>(rank)];
        if (result && is_open()) on_result(rank, std::move(*result));
    }
    for (auto& [rank, result] : std::exchange(early_results_, {})) {
        if (is_open()) on_result(rank, std::move(result));
    }
    if (is_open()) expect_results();
}

/// For a judgement that counts who has answered.
void GroupSession::drain_lane() {
    if (lane_ && open_ && open_->by_memory) lane_->drain();
}

void GroupSession::expect_results() {
    if (!lane_ || !open_ || !open_->by_memory) return;
    const auto missing = std::ranges::find_if(open_->results, [](const auto& result) { return !result; });
    lane_->expect(missing == open_->results.end() ? -1 : static_cast<int>(missing - open_->results.begin()));
}

/// The deadline counts from the submission, so it may pass while the task waits in the queue.
void GroupSession::expire(std::uint64_t id) {
    Failure failure;
    failure.code = ReturnCode::task_timeout;
    if (auto task = take_from_queue(id)) {
        failure.message = "task \"" + task->name + "\" has passed its deadline of " +
                          std::to_string(task->options.deadline.count()) + " ms while it waited for the one before it";
        GroupReply reply;
        reply.reply = Shareable::failed(std::move(failure));
        task->on_done(std::move(reply));
        return;
    }
    drain_lane();
    if (!open_ || open_->task.id != id) return;
    for (int rank = 0; rank < options_.group.world_size; ++rank) {
        if (!open_->results[static_cast<std::size_t>(rank)]) failure.ranks.push_back(rank);
    }
    failure.message = "task \"" + open_->task.name + "\" has passed its deadline of " +
                      std::to_string(open_->task.options.deadline.count()) + " ms; no answer from " +
                      name_ranks(failure.ranks);
    if (open_->verdict || !open_->cause.empty()) return;  // it is being aborted already
    open_->verdict = std::move(failure);
    ask_for_stacks();
}

/// Before the abort, which would send them elsewhere.
void GroupSession::ask_for_stacks() {
    for (const int rank : open_->verdict->ranks) {
        auto& stacks = open_->verdict->stacks;
        if (!rank_at(rank).reports_stacks) {
            stacks.push_back({rank, {}, "the rank reports none"});
            continue;
        }
        stacks.push_back({rank, {}, "no answer within " + std::to_string(kStackPatience.count()) + " ms"});
        open_->asked.insert(rank);
        send(*handler_, rank, wire::ReportStack{open_->task.id});
    }
    if (open_->asked.empty()) return stacks_are_in();
    open_->stack_timer = loop_.call_after(kStackPatience, [this] { stacks_are_in(); });
}

void GroupSession::on_stack(int rank, wire::StackReport&& report) {
    if (!open_ || report.task_id != open_->task.id || open_->asked.erase(rank) == 0) return;
    auto& stacks = open_->verdict->stacks;
    *std::ranges::find(stacks, rank, &RankStack::rank) = bounded(rank, std::move(report));
    if (open_->asked.empty()) stacks_are_in();
}

void GroupSession::stacks_are_in() {
    loop_.cancel(open_->stack_timer);
    open_->asked.clear();
    abort_ranks("the deadline has passed");
    expect_end_of_task();
}

std::optional<GroupTask> GroupSession::take_from_queue(std::uint64_t id) {
    const auto waiting = std::ranges::find(queue_, id, &GroupTask::id);
    if (waiting == queue_.end()) return std::nullopt;
    auto task = std::move(*waiting);
    queue_.erase(waiting);
    return task;
}

void GroupSession::abort_task(std::uint64_t id, const std::string& reason) {
    Failure failure;
    failure.code = ReturnCode::task_aborted;
    failure.message = reason;
    if (open_ && open_->task.id == id) {
        if (!open_->verdict) open_->verdict = std::move(failure);
        abort_ranks(reason);
        expect_end_of_task();
        return;
    }
    if (auto task = take_from_queue(id)) {
        loop_.cancel(task->deadline_timer);
        GroupReply reply;
        reply.reply = Shareable::failed(failure);
        task->on_done(std::move(reply));
    }
}

void GroupSession::abort_ranks(const std::string& reason) {
    if (open_->told_to_abort) return;
    open_->told_to_abort = true;
    for (int rank = 0; rank < options_.group.world_size; ++rank) {
        if (!open_->results[static_cast<std::size_t>(rank)]) {
            send(*handler_, rank, wire::AbortTask{open_->task.id, reason.substr(0, kReasonBytes)});
            // It would have to arrive before the rank can answer.
            if (execution_->cut<wire::Execute>(rank)) open_->incomplete.insert(rank);
        }
    }
}

/// From here on the task may take abort_grace; then the ranks that have not returned cost the group.
void GroupSession::expect_end_of_task() {
    if (open_->grace_timer != 0) return;
    open_->grace_timer = loop_.call_after(options_.abort_grace, [this, id = open_->task.id] {
        drain_lane();
        if (!open_ || open_->task.id != id) return;
        std::vector<int> missing;
        for (int rank = 0; rank < options_.group.world_size; ++rank) {
            if (!open_->results[static_cast<std::size_t>(rank)]) missing.push_back(rank);
        }
        auto failure = open_->verdict ? *open_->verdict : open_->cause.choose().value_or(Failure{});
        failure.message += "; " + name_ranks(missing) + " did not return from the aborted task within " +
                           std::to_string(options_.abort_grace.count()) + " ms, so the group was ended";
        if (open_->verdict) open_->verdict = failure;
        give_up(std::move(failure));
    });
}

void GroupSession::on_result(int rank, wire::Result&& result) {
    if (!open_ || result.task_id != open_->task.id) {
        if (lane_ && lane_->has(result.task_id)) {
            const auto id = result.task_id;
            // A rank that answers on both ways, or twice, must not make them more and more.
            std::erase_if(early_results_,
                          [&](const auto& early) { return early.first == rank || early.second.task_id != id; });
            early_results_.emplace_back(rank, std::move(result));
            return lane_->request_hand_over(id);
        }
        log::debug("rank " + std::to_string(rank) + " sent a result for task " + std::to_string(result.task_id) +
                   ", which is not open; dropped");
        ++dropped_results_;
        return;
    }
    auto& slot = open_->results[static_cast<std::size_t>(rank)];
    if (slot) {
        ++dropped_results_;
        return;
    }
    // What a rank throws once it was told to stop is no cause, but worth telling beside the cause.
    // (A result of which the abort has cut the rest cannot be understood; that is not the rank's fault.)
    const bool beside = !open_->cause.empty() && result.reply.code != ReturnCode::task_aborted &&
                        result.reply.code != ReturnCode::execution_result_error;
    if (!result.reply.ok() && (!open_->told_to_abort || beside) && !open_->incomplete.contains(rank)) {
        auto failure = result.reply.failure.value_or(Failure{});
        failure.code = result.reply.code;
        failure.rank = rank;
        open_->cause.add(FirstCause::Kind::exception, std::move(failure), time_of_failure(rank, result));
        if (!open_->told_to_abort) tails_.ask(rank);
        if (open_->settle_timer == 0) {
            open_->settle_timer = loop_.call_after(FirstCause::kSettle, [this] { judge_task(); });
        }
    }
    slot = std::move(result);
    expect_results();
    finish_task_if_complete();
}

/// When user code threw, where the rank's clock is ours: its exception may have made other ranks throw, whose
/// results come first.
FirstCause::Clock::time_point GroupSession::time_of_failure(int rank, const wire::Result& result) const {
    const auto now = FirstCause::Clock::now();
    if (result.failed_at == 0 || execution_->connection(rank).tcp) return now;
    return std::min(now, FirstCause::Clock::time_point(std::chrono::nanoseconds(result.failed_at)));
}

/// A rank has failed while others may sit in a collective with it.
void GroupSession::judge_task() {
    const auto cause = open_->cause.choose();
    abort_ranks("rank " + std::to_string(cause && cause->rank ? *cause->rank : -1) + " failed");
    expect_end_of_task();
    open_->tail_timer = loop_.call_after(kTailPatience, [this] {
        tails_.stop_waiting();
        finish_task_if_complete();
    });
    finish_task_if_complete();
}

void GroupSession::on_tail(wire::TailReport&& report) {
    tails_.answer(std::move(report));
    finish_task_if_complete();
}

void GroupSession::finish_task_if_complete() {
    if (!open_) return;
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
        const auto& result = open_->results[rank];
        // Events that the rank fired before its result come on another way.
        if (!result || !events_->wait_in_session(static_cast<int>(rank), result->last_event)) return;
    }
    // A failed rank may be the victim of one whose death is about to be reported.
    if (!open_->cause.empty() && !open_->told_to_abort) return;
    if (open_->verdict) {
        for (const int rank : open_->asked) {
            std::ranges::find(open_->verdict->stacks, rank, &RankStack::rank)->missing = "it answered late";
        }
        finish_task(*open_->verdict);
        return;
    }
    if (const auto cause = open_->cause.choose()) {
        if (!tails_.awaits(*cause)) finish_task(*cause);
        return;
    }
    auto reply = reply_to(open_->task, std::move(open_->results));
    drop_timers(*open_);
    events_->end_task(open_->task.id);
    auto done = std::move(open_->task.on_done);
    open_.reset();
    done(std::move(reply));
    start_next_task();
}

void GroupSession::finish_task(Failure failure) {
    drop_timers(*open_);
    complete(failure);
    tails_.clear();
    events_->end_task(open_->task.id);
    auto reply = collect(*open_);
    reply.reply = Shareable::failed(std::move(failure));
    auto done = std::move(open_->task.on_done);
    open_.reset();
    done(std::move(reply));
    start_next_task();
}

GroupReply GroupSession::collect(OpenTask& open) const {
    GroupReply reply;
    if (!open.task.options.all_results) return reply;
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
        if (open.results[rank]) {
            reply.results.push_back(std::move(open.results[rank]->reply));
        } else {
            reply.results.push_back(
                Shareable::failed(failure_of_rank(static_cast<int>(rank), ReturnCode::task_aborted, "no result")));
        }
    }
    return reply;
}

void GroupSession::drop_timers(OpenTask& open) {
    for (const auto timer :
         {open.task.deadline_timer, open.settle_timer, open.grace_timer, open.stack_timer, open.tail_timer})
        loop_.cancel(timer);
}

// ---- events -------------------------------------------------------------------------------------

void GroupSession::send_event(const wire::EncodedBody& to_first, const wire::EncodedBody& to_others) {
    if (!handler_) return;
    for (int rank = 0; rank < options_.group.world_size; ++rank) {
        if (const auto sent = handler_->send(rank, rank == 0 ? to_first : to_others); !sent) {
            log::error("rank " + std::to_string(rank) + ": an event cannot be sent: " + sent.error());
        }
    }
}

void GroupSession::send(ParentChannel& channel, int rank, const wire::Message& message) {
    if (const auto sent = channel.send(rank, message); !sent) {
        log::error("rank " + std::to_string(rank) + ": " + std::string(wire::name_of(message)) +
                   " cannot be sent: " + sent.error());
    }
}

}  // namespace rankexec
