// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/rank_events.hpp"

#include <array>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec::worker {
namespace {

/// A handler in the parent that takes longer than this has hung; the parent's own deadlines are
/// shorter and end the group first.
constexpr std::chrono::minutes kAnswerTimeout{5};

/// One-way events that go by their channels: of so many, one is answered, and the next ones wait for that.
constexpr int kMostUnanswered = 64;

RingIdentity of_parent(RingIdentity identity) {
    identity.rank = wire::kAllRanks;
    return identity;
}

}  // namespace

RankEvents::RankEvents(EventLoop& loop, EventLane& lane, const RingIdentity& identity, RankMemory* memory, Hooks hooks)
    : loop_(loop),
      lane_(lane),
      memory_(memory != nullptr && memory->carries_events() ? memory : nullptr),
      hooks_(std::move(hooks)),
      events_(of_parent(identity)),
      answers_(identity),
      out_(identity) {}

// ---- firing -------------------------------------------------------------------------------------

ContextChanges RankEvents::fire(wire::FireEvent event) { return fire(std::move(event), kAnswerTimeout); }

void RankEvents::flush(std::chrono::milliseconds patience) {
    {
        const std::lock_guard fire(fire_mutex_);
        if (unanswered_ == 0) return;
    }
    try {
        // One without a type only takes its number, and is answered after those before it.
        (void)fire({}, patience);
    } catch (const std::exception& error) {
        log::warning(std::string("events may be lost: ") + error.what());
    }
}

ContextChanges RankEvents::fire(wire::FireEvent event, std::chrono::steady_clock::duration patience) {
    if (lane_.depth() >= EventLane::kMaxDepth) {
        throw std::runtime_error("events are nested deeper than " + std::to_string(EventLane::kMaxDepth));
    }
    const auto answer = std::make_shared<PendingAnswer>();
    const bool event_is_one_way = event.one_way;
    bool one_way = event_is_one_way;
    std::uint64_t id = 0;
    {
        const std::lock_guard fire(fire_mutex_);
        id = last_fired_ + 1;
        event.event_id = id;
        const auto expect_answer = [&] {
            const std::lock_guard lock(mutex_);
            pending_.emplace(id, answer);
        };
        if (!one_way) expect_answer();
        last_fired_ = id;
        wire::Message message(std::move(event));
        const auto sent = put(message);
        if (sent == Put::ended) throw std::runtime_error("the parent is gone");
        if (sent == Put::never) {
            // What is large, and now and then what is small, so that there are never too many on their way.
            if (one_way && (in_memory() || ++unanswered_ == kMostUnanswered)) {
                unanswered_ = 0;
                one_way = false;
                expect_answer();
            }
            auto& to_send = std::get<wire::FireEvent>(message);
            to_send.one_way = one_way;
            send_by_channel(std::move(to_send));
        }
    }
    if (one_way) return {};
    lane_.wait(answer, std::chrono::steady_clock::now() + patience);
    {
        const std::lock_guard lock(mutex_);
        pending_.erase(id);
    }
    if (!answer->error.empty()) throw std::runtime_error("event was not handled by the parent: " + answer->error);
    // Of a one-way event, which was answered only so that there are not too many, nothing is seen.
    return event_is_one_way ? ContextChanges{} : std::move(answer->changes);
}

/// Waits for room. While it does no other event is fired, which would be behind this one in any case.
RankEvents::Put RankEvents::put(const wire::Message& message) {
    if (stopped_) return Put::ended;
    if (!in_memory()) return Put::never;
    const auto frames = out_.encode(message);
    if (!frames) return Put::never;  // the reactor tells why
    for (;;) {
        const auto seen = interrupt_.value();
        if (stopped_) return Put::ended;
        const auto sent = memory_->events().send(*frames);
        if (sent == FrameRingWriter::Sent::never) return Put::never;
        if (sent == FrameRingWriter::Sent::yes) {
            out_.sent();
            return Put::yes;
        }
        memory_->events().wait_for_room(interrupt_, seen);
    }
}

void RankEvents::send_by_channel(wire::FireEvent&& event) {
    loop_.post([this, event = std::move(event)] {
        const auto sent = hooks_.send(ChannelKind::relay, event);
        if (sent) return;
        // Numbers have no gaps: an event without a type only takes the number.
        wire::FireEvent bare;
        bare.event_id = event.event_id;
        settle({event.event_id, {}, sent.error()});
        (void)hooks_.send(ChannelKind::relay, bare);
    });
}

void RankEvents::settle(wire::EventHandled&& answer) {
    std::shared_ptr<PendingAnswer> pending;
    {
        const std::lock_guard lock(mutex_);
        const auto found = pending_.find(answer.event_id);
        if (found == pending_.end()) return;
        pending = std::move(found->second);
        pending_.erase(found);
    }
    lane_.settle(pending, std::move(answer.changes), std::move(answer.error));
}

bool RankEvents::take_answer() {
    if (!in_memory() || !memory_->event_answers().has_message()) return false;
    auto message = checked(answers_.read(memory_->event_answers().receive()));
    if (!message) return true;
    auto* const handled = std::get_if<wire::EventHandled>(&*message);
    if (handled == nullptr) {
        broken(std::string(wire::name_of(*message)) + " is no answer to an event");
    } else {
        settle(std::move(*handled));
    }
    return true;
}

void RankEvents::stop() {
    stopped_ = true;
    interrupt_.ring();
}

// ---- handling -----------------------------------------------------------------------------------

void RankEvents::receive(wire::ParentEvent&& event) {
    if (!order_.add_from_channel(std::move(event))) return hooks_.on_broken("the numbers of events make no sense");
    lane_.wake();
}

bool RankEvents::serve() {
    if (const auto event = order_.next()) {
        handle(*event);
        return true;
    }
    if (!readable() || !memory_->parent_events().has_message()) return false;
    auto message = checked(events_.read(memory_->parent_events().receive()));
    if (!message) return true;
    auto* const event = std::get_if<wire::ParentEvent>(&*message);
    if (event == nullptr) {
        broken(std::string(wire::name_of(*message)) + " is no message for a ring of events");
    } else if (!order_.add_from_ring(std::move(*event))) {
        broken("the number of an event came twice");
    }
    return true;
}

void RankEvents::handle(const wire::ParentEvent& event) {
    wire::EventDone done;
    done.event_id = event.event_id;
    // One without a type stands for an event that could not be understood.
    if (!event.type.empty()) done.changes = hooks_.handle(event);
    if (!event.want_changes) done.changes = {};
    if (!event.one_way) answer(std::move(done));
    ++handled_;
    hooks_.on_handled();
}

/// Always by the channel, which the parent's loop reads: its lane may be in a handler, and this rank's own threads may
/// wait for room in the ring until that one is done, while somebody waits for this very answer.
void RankEvents::answer(wire::EventDone&& done) {
    loop_.post([this, done = std::move(done)] {
        const auto sent = hooks_.send(ChannelKind::handler, done);
        if (sent) return;
        log::error("event changes cannot be sent: " + sent.error());
        wire::EventDone bare;
        bare.event_id = done.event_id;
        (void)hooks_.send(ChannelKind::handler, bare);
    });
}

std::optional<wire::Message> RankEvents::checked(RingInbox::Read&& read) {
    if (read.bad_body) {
        read.put_stand_in();
        if (!read.message && read.bad_body->call) {
            log::error("event dropped: " + read.bad_body->message);
            wire::ParentEvent event;
            event.event_id = *read.bad_body->call;
            read.message = std::move(event);
            read.broken.clear();
        }
    }
    if (!read.broken.empty()) broken(read.broken);
    return std::move(read.message);
}

void RankEvents::broken(const std::string& why) {
    broken_ = true;
    hooks_.on_broken("shared memory: " + why);
}

void RankEvents::wait(bool events, bool answers, const Interrupt& interrupt, std::uint32_t seen,
                      std::optional<std::chrono::steady_clock::time_point> deadline) {
    std::array<RingReader*, 2> rings{};
    std::size_t count = 0;
    if (events && readable()) rings.at(count++) = &memory_->parent_events().ring();
    if (answers && in_memory()) rings.at(count++) = &memory_->event_answers().ring();
    if (count == 0) return interrupt.wait(seen, deadline);
    auto& waiter = events ? lane_waiter_ : answer_waiter_;
    waiter.wait(std::span(rings).first(count), interrupt, seen, deadline);
}

}  // namespace rankexec::worker
