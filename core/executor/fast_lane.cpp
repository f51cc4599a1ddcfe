// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/fast_lane.hpp"

#include <utility>

#include "rankexec/core/system/log.hpp"
#include "rankexec/ipc/channel/stand_in.hpp"
#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec {

FastLane::FastLane(EventLoop& loop, TaskTurn& turn, std::shared_ptr<ParentMemory> memory, Identity identity,
                   Hooks hooks)
    : loop_(loop),
      turn_(turn),
      memory_(std::move(memory)),
      identity_(std::move(identity)),
      hooks_(std::move(hooks)),
      received_(static_cast<std::size_t>(identity_.world_size)),
      handled_(static_cast<std::size_t>(identity_.world_size)) {}

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

std::optional<Context> FastLane::context_of(std::uint64_t id) const {
    const std::lock_guard lock(mutex_);
    return current_ == id ? context_ : std::nullopt;
}

void FastLane::count_handled_event(int rank) {
    handled_[static_cast<std::size_t>(rank)].fetch_add(1, std::memory_order_release);
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
        context_.reset();
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
        context_ = task.context;
        over = end_.has_value();
        wanted_ = over;
    }
    expected_ = -1;
    const auto subscription = abort.on_trigger([self = shared_from_this(), id](const std::string& reason) {
        self->loop_.post([self, id, reason = reason.empty() ? "aborted" : reason] { self->abort(id, reason); });
    });
    RankResults results(received_.size());
    if (over || !send(task)) return by_session(std::move(task), std::move(results), false);
    if (!collect(task, results)) return by_session(std::move(task), std::move(results), true);
    auto reply = reply_to(task, std::move(results));
    leave();
    return reply;
}

/// False when the session has to send it, which also tells of what cannot be sent at all.
bool FastLane::send(const GroupTask& task) {
    wire::Envelope envelope;
    envelope.run_id = identity_.run_id;
    envelope.incarnation = identity_.incarnation;
    envelope.rank = wire::kAllRanks;
    envelope.sequence = sent_ + 1;
    const auto frames = wire::encode(std::move(envelope), message_of(task));
    if (!frames || !memory_->send_to_all(*frames)) return false;
    ++sent_;
    return true;
}

/// Waits for one rank after the other: each must answer in any case, and each one's failure and end rings.
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
                const auto handled = handled_[static_cast<std::size_t>(rank)].load(std::memory_order_acquire);
                if (!well || events > handled) return false;
            } else if (!memory_->wait(rank, interrupt_, seen, deadline) && deadline &&
                       EventLoop::Clock::now() >= *deadline) {
                return false;
            }
        }
    }
    return true;
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
        context_.reset();
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
    auto received = memory_->receive(rank);
    if (received.taken == RingReader::Taken::nothing) return std::nullopt;
    if (received.taken == RingReader::Taken::corrupt) return broken(rank, "its ring in shared memory makes no sense");
    auto decoded = wire::decode(received.frames);
    if (!decoded) {
        auto error = decoded.error();
        if (!received.error.empty()) error.message = received.error;
        const auto envelope = wire::decode_envelope(received.frames.front().bytes);
        auto stand_in = envelope ? stand_in_for(envelope->type, error) : std::nullopt;
        if (!stand_in) return broken(rank, error.message);
        log::error("rank " + std::to_string(rank) + ": " + error.message);
        decoded = wire::Decoded{*envelope, std::move(*stand_in)};
    }
    const auto& envelope = decoded->envelope;
    auto& last = received_[static_cast<std::size_t>(rank)];
    if (envelope.run_id != identity_.run_id || envelope.incarnation != identity_.incarnation || envelope.rank != rank ||
        envelope.sequence != last + 1) {
        return broken(rank, "its shared memory holds a message of another run, or one that is out of order");
    }
    last = envelope.sequence;
    auto* const result = std::get_if<wire::Result>(&decoded->message);
    if (result == nullptr) {
        return broken(rank, std::string(wire::name_of(decoded->message)) + " is no message for shared memory");
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
