// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/fast_lane.hpp"

#include <utility>

#include "rankexec/core/system/log.hpp"
#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec {

FastLane::FastLane(EventLoop& loop, TaskTurn& turn, std::shared_ptr<ParentMemory> memory, Identity identity,
                   Hooks hooks)
    : loop_(loop),
      turn_(turn),
      memory_(std::move(memory)),
      identity_(std::move(identity)),
      hooks_(std::move(hooks)),
      tasks_({identity_.run_id, identity_.incarnation, wire::kAllRanks}) {
    for (int rank = 0; rank < identity_.world_size; ++rank) {
        inboxes_.emplace_back(RingIdentity{identity_.run_id, identity_.incarnation, rank});
    }
}

// ---- on the loop --------------------------------------------------------------------------------

void FastLane::request_hand_over(std::optional<std::uint64_t> id) {
    {
        const std::lock_guard lock(mutex_);
        if (current_ == 0 || (id && *id != current_)) return;
        wanted_ = true;
    }
    interrupt_.ring();
}

void FastLane::close(const Failure& failure) {
    {
        const std::lock_guard lock(mutex_);
        if (!end_) end_ = failure;
        wanted_ = true;
    }
    closed_ = true;
    interrupt_.ring();
}

void FastLane::detach() {
    attached_ = false;
    adopted_ = false;
    hooks_ = {};
}

bool FastLane::has(std::uint64_t id) const {
    const std::lock_guard lock(mutex_);
    return current_ == id;
}

/// With the task's reply, which any of the results may bring about, the next task may be here, whose thread receives.
void FastLane::drain() {
    for (int rank = 0; adopted_ && rank < identity_.world_size; ++rank) {
        if (!memory_->has(rank)) continue;
        // One of each: a rank that writes as fast as it is read must not keep the loop.
        if (auto result = next_result(rank)) hooks_.on_result(rank, std::move(*result));
    }
    interrupt_.ring();
}

void FastLane::expect(int rank) {
    if (expected_.exchange(rank) != rank) interrupt_.ring();
}

void FastLane::take_over(GroupTask&& task, RankResults&& results, bool sent) {
    bool over = false;
    {
        const std::lock_guard lock(mutex_);
        current_ = 0;
        over = end_.has_value();
    }
    turn_.hand_over();
    if (over || !attached_) return task.on_done(ended(task));
    const auto id = task.id;
    adopted_ = sent;
    hooks_.adopt(std::move(task), std::move(results), sent);
    // It may be of a former task, which had its reply all the same.
    if (const auto abort = std::exchange(abort_, {}); abort && abort->first == id) hooks_.abort(id, abort->second);
}

void FastLane::abort(std::uint64_t id, const std::string& reason) {
    if (!attached_) return;
    if (!has(id)) return hooks_.abort(id, reason);
    abort_.emplace(id, reason);
    request_hand_over(id);
}

// ---- on the thread in run() ---------------------------------------------------------------------

GroupReply FastLane::run(GroupTask task, const Signal& abort) {
    const auto id = task.id;
    bool over = false;
    {
        const std::lock_guard lock(mutex_);
        current_ = id;
        over = end_.has_value();
        wanted_ = over;
    }
    expected_ = -1;
    events_->begin_task(id, task.context);
    const auto subscription = abort.on_trigger([self = shared_from_this(), id](const std::string& reason) {
        self->loop_.post([self, id, reason = reason.empty() ? "aborted" : reason] { self->abort(id, reason); });
    });
    RankResults results(inboxes_.size());
    if (over || !send(task)) return by_session(std::move(task), std::move(results), false);
    if (!collect(task, results)) return by_session(std::move(task), std::move(results), true);
    events_->end_task(id);
    auto reply = reply_to(task, std::move(results));
    leave();
    return reply;
}

/// False when the session has to send it, which also tells of what cannot be sent at all.
bool FastLane::send(const GroupTask& task) {
    const auto frames = tasks_.encode(message_of(task));
    if (!frames || !memory_->send_to_all(*frames)) return false;
    tasks_.sent();
    return true;
}

/// Waits for one rank after the other: each must answer in any case, and each one's failure and end rings. (In another
/// order it wakes no less often; measured with 4 to 32 ranks.)
bool FastLane::collect(const GroupTask& task, RankResults& results) {
    std::optional<EventLoop::Clock::time_point> deadline;
    if (task.options.deadline.count() > 0) deadline = task.deadline;
    for (int rank = 0; rank < identity_.world_size; ++rank) {
        auto& result = results[static_cast<std::size_t>(rank)];
        while (!result) {
            const auto seen = interrupt_.value();
            if (wanted_ || broken_) return false;
            if (auto next = next_result(rank)) {
                if (next->task_id != task.id) {  // a second answer to a task that is over
                    if (deadline && EventLoop::Clock::now() >= *deadline) return false;
                    continue;
                }
                const auto events = next->last_event;
                const bool well = next->reply.ok();
                result = std::move(next);
                if (!well || !await_events(rank, events, deadline)) return false;
            } else if (!memory_->wait(rank, interrupt_, seen, deadline) && deadline &&
                       EventLoop::Clock::now() >= *deadline) {
                return false;
            }
        }
    }
    return true;
}

/// Those that the rank fired before its result.
bool FastLane::await_events(int rank, std::uint64_t last, std::optional<EventLoop::Clock::time_point> deadline) {
    if (events_->handled(rank) >= last) return true;
    events_->watch(&interrupt_);
    bool handled = false;
    for (;;) {
        const auto seen = interrupt_.value();
        handled = events_->handled(rank) >= last;
        if (handled || wanted_ || broken_ || (deadline && EventLoop::Clock::now() >= *deadline)) break;
        interrupt_.wait(seen, deadline);
    }
    events_->watch(nullptr);
    return handled;
}

GroupReply FastLane::by_session(GroupTask task, RankResults results, bool sent) {
    const auto outcome = std::make_shared<Outcome>();
    task.on_done = [self = shared_from_this(), outcome](GroupReply&& reply) {
        self->adopted_ = false;
        outcome->reply = std::move(reply);
        outcome->done.store(true, std::memory_order_release);
        self->interrupt_.ring();
    };
    // A std::function is copied, and what it takes with it must be.
    const auto handed = std::make_shared<std::pair<GroupTask, RankResults>>(std::move(task), std::move(results));
    loop_.post([self = shared_from_this(), handed, sent] {
        self->take_over(std::move(handed->first), std::move(handed->second), sent);
    });
    watch(*outcome);
    // Not before: only one thread may wait for what ranks write.
    turn_.done();
    return std::move(outcome->reply);
}

/// The loop cannot sleep on memory, so this thread does.
void FastLane::watch(const Outcome& outcome) {
    for (;;) {
        const auto seen = interrupt_.value();
        if (outcome.done.load(std::memory_order_acquire)) return;
        const int rank = expected_;
        if (rank >= 0 && !broken_) {
            if (!memory_->wait(rank, interrupt_, seen, std::nullopt)) continue;
            loop_.post([self = shared_from_this()] { self->drain(); });
        }
        interrupt_.wait(seen);
    }
}

void FastLane::leave() {
    {
        const std::lock_guard lock(mutex_);
        current_ = 0;
    }
    if (!turn_.leave_lane()) return;
    loop_.post([self = shared_from_this()] {
        if (self->attached_) self->hooks_.on_turn();
    });
}

// ---- on either ----------------------------------------------------------------------------------

/// Of a rank that breaks the rules nothing more is read.
std::optional<wire::Result> FastLane::next_result(int rank) {
    if (broken_) return std::nullopt;
    auto read = inboxes_[static_cast<std::size_t>(rank)].read(memory_->receive(rank));
    if (read.bad_body) {
        log::error("rank " + std::to_string(rank) + ": " + read.bad_body->message);
        read.put_stand_in();
    }
    if (!read.broken.empty()) return broken(rank, std::move(read.broken));
    if (!read.message) return std::nullopt;
    auto* const result = std::get_if<wire::Result>(&*read.message);
    if (result == nullptr) {
        return broken(rank, std::string(wire::name_of(*read.message)) + " is no message for shared memory");
    }
    return std::move(*result);
}

std::optional<wire::Result> FastLane::broken(int rank, std::string why) {
    broken_ = true;
    loop_.post([self = shared_from_this(), rank, why = std::move(why)] {
        if (self->attached_) self->hooks_.on_violation(rank, why);
    });
    return std::nullopt;
}

GroupReply FastLane::ended(const GroupTask& task) const {
    Failure failure;
    failure.code = ReturnCode::not_ready;
    failure.message = "the group has ended";
    {
        const std::lock_guard lock(mutex_);
        if (end_) failure = *end_;
    }
    if (failure.task.empty()) failure.task = task.name;
    GroupReply reply;
    reply.reply = Shareable::failed(std::move(failure));
    return reply;
}

}  // namespace rankexec
