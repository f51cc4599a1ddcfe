// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/group_events.hpp"

#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

RingIdentity of_rank(RingIdentity identity, int rank) {
    identity.rank = rank;
    return identity;
}

/// One-way events that go by their channels: of so many, one is answered, and the next ones wait for that.
constexpr int kMostUnanswered = 64;

/// More events than a rank can have left when it ends: in its ring, and on their way by its channel.
constexpr std::size_t kMostLeft = 8192;

}  // namespace

GroupEvents::GroupEvents(EventLoop& loop, EventLane& lane, const RingIdentity& identity, int world_size, Context run,
                         std::shared_ptr<ParentMemory> memory, Hooks hooks)
    : loop_(loop),
      lane_(lane),
      world_size_(world_size),
      memory_(std::move(memory)),
      hooks_(std::move(hooks)),
      to_all_(of_rank(identity, wire::kAllRanks)),
      run_(std::move(run)) {
    for (int rank = 0; rank < world_size; ++rank) peers_.emplace_back(of_rank(identity, rank));
}

// ---- on the loop --------------------------------------------------------------------------------

void GroupEvents::add_rank(int rank) {
    if (!memory_ || !memory_->carries_events()) return;
    peer(rank).ring = &memory_->events_of(rank);
    lane_.wake();
}

void GroupEvents::open(bool by_memory) {
    const std::lock_guard lock(mutex_);
    open_ = true;
    by_memory_ = by_memory && memory_ && memory_->carries_events();
}

std::uint64_t GroupEvents::stop_firing() {
    const std::lock_guard lock(mutex_);
    open_ = false;
    return last_event_;
}

void GroupEvents::fail(const std::string& error) {
    std::map<std::uint64_t, OpenEvent> events;
    {
        const std::lock_guard lock(mutex_);
        open_ = false;
        events.swap(events_);
    }
    for (auto& [id, event] : events) event.event.on_done({}, error);
}

void GroupEvents::detach() {
    if (!std::exchange(attached_, false)) return;
    lane_.set_source(nullptr);
    lane_.post([self = shared_from_this()] {
        // Of a rank that obeys nothing comes after its end; who else still writes there must not keep the lane.
        for (auto most = self->peers_.size() * kMostLeft; most > 0 && self->serve(); --most) continue;
        for (auto& peer : self->peers_) peer.ring = nullptr;
        const std::lock_guard lock(self->mutex_);
        self->by_memory_ = false;
        self->memory_.reset();
    });
}

void GroupEvents::receive(int rank, wire::FireEvent&& event) {
    if (!peer(rank).order.add_from_channel(std::move(event))) {
        return hooks_.on_violation(rank, "the numbers of its events make no sense");
    }
    lane_.wake();
}

bool GroupEvents::wait_in_session(int rank, std::uint64_t last) {
    if (handled(rank) >= last) return true;
    const std::lock_guard lock(mutex_);
    session_waits_ = true;
    watched_ = true;
    return handled(rank) >= last;
}

// ---- on any thread: the parent's events ---------------------------------------------------------

bool GroupEvents::put(const wire::EncodedBody& body) {
    if (!by_memory_) return false;
    const auto frames = to_all_.encode(body);
    if (!frames || memory_->send_event(*frames) != FrameRingWriter::Sent::yes) return false;
    to_all_.sent();
    return true;
}

void GroupEvents::await(Event&& event, int ranks) {
    OpenEvent open;
    for (int rank = 0; rank < ranks; ++rank) open.awaited.insert(rank);
    open.event = std::move(event);
    events_.emplace(last_event_, std::move(open));
}

void GroupEvents::send_by_channel(wire::ParentEvent message) {
    auto to_first = wire::encode_body(message);
    message.want_changes = false;
    auto to_others = wire::encode_body(message);
    // Posted with the number, so that numbers leave in order.
    loop_.post([self = shared_from_this(), first = std::move(*to_first), others = std::move(*to_others)] {
        if (self->attached_) self->hooks_.send_event(first, others);
    });
}

std::uint64_t GroupEvents::fire(Event event) {
    std::string error;
    std::uint64_t id = 0;
    {
        const std::lock_guard lock(mutex_);
        wire::ParentEvent message;
        message.event_id = last_event_ + 1;
        message.type = event.type;
        message.one_way = event.one_way;
        message.want_changes = !event.one_way;  // in the ring this concerns the first rank alone
        if (open_) message.context = event.context.serialisable();
        const auto body = open_ ? wire::encode_body(message) : tl::unexpected<std::string>("no group is up");
        if (body) {
            id = ++last_event_;
            const bool by_memory = put(*body);
            // Ever more of them would otherwise wait on their way.
            if (!by_memory && event.one_way && ++unanswered_ == kMostUnanswered) {
                unanswered_ = 0;
                message.one_way = false;
                event.all_ranks = true;
            }
            if (!message.one_way) await(std::move(event), event.all_ranks ? world_size_ : 1);
            if (!by_memory) send_by_channel(message);
            if (!message.one_way) return id;
        } else {
            error = open_ ? "event " + event.type + " cannot be sent: " + body.error() : body.error();
        }
    }
    event.on_done({}, std::move(error));
    return id;
}

void GroupEvents::forget(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    events_.erase(id);
}

void GroupEvents::done(int rank, wire::EventDone&& done) {
    OpenEvent finished;
    {
        const std::lock_guard lock(mutex_);
        const auto found = events_.find(done.event_id);
        if (found == events_.end()) return;
        auto& open = found->second;
        if (open.awaited.erase(rank) == 0) return;
        if (rank == 0) open.changes = std::move(done.changes);
        if (!open.awaited.empty()) return;
        finished = std::move(open);
        events_.erase(found);
    }
    finished.event.on_done(std::move(finished.changes), {});
}

// ---- on any thread: tasks -----------------------------------------------------------------------

void GroupEvents::begin_task(std::uint64_t id, const Context& context) {
    const std::lock_guard lock(mutex_);
    task_.emplace(id, context);
}

void GroupEvents::end_task(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    if (task_ && task_->first == id) task_.reset();
}

void GroupEvents::watch(Interrupt* interrupt) {
    const std::lock_guard lock(mutex_);
    interrupt_ = interrupt;
    watched_ = interrupt != nullptr || session_waits_;
}

// ---- on the lane: the ranks' events -------------------------------------------------------------

bool GroupEvents::serve() {
    for (int count = 0; count < world_size_; ++count) {
        const int rank = turn_;
        turn_ = (turn_ + 1) % world_size_;
        if (serve(rank)) return true;
    }
    return false;
}

bool GroupEvents::serve(int rank) {
    auto& it = peer(rank);
    if (auto event = it.order.next()) {
        handle(rank, std::move(*event));
        return true;
    }
    if (!readable(rank) || !it.ring.load()->has_message()) return false;
    read(rank, it.inbox.read(it.ring.load()->receive()));
    return true;
}

bool GroupEvents::readable(int rank) {
    const auto& it = peer(rank);
    return !it.broken && it.ring.load() != nullptr && it.order.may_read_ring();
}

void GroupEvents::read(int rank, RingInbox::Read&& read) {
    if (read.bad_body) {
        log::error("rank " + std::to_string(rank) + ": " + read.bad_body->message);
        read.put_stand_in();
    }
    if (!read.broken.empty() || !read.message) return broken(rank, std::move(read.broken));
    auto& order = peer(rank).order;
    if (auto* event = std::get_if<wire::FireEvent>(&*read.message)) {
        if (!order.add_from_ring(std::move(*event))) return broken(rank, "the number of an event came twice");
        if (auto due = order.next()) handle(rank, std::move(*due));
    } else {
        broken(rank, std::string(wire::name_of(*read.message)) + " is no message for a ring of events");
    }
}

Context GroupEvents::context_of(const wire::FireEvent& event) {
    const std::lock_guard lock(mutex_);
    if (event.task_id != 0 && task_ && task_->first == event.task_id) return task_->second;
    const auto found = events_.find(event.parent_event);
    return found != events_.end() ? found->second.event.context : run_;
}

void GroupEvents::handle(int rank, wire::FireEvent&& event) {
    auto context = context_of(event);
    auto handled = hooks_.handle(rank, event, context);
    if (event.one_way) {
        if (!handled.error.empty()) log::error("event " + event.type + " was not handled: " + handled.error);
    } else {
        answer(rank, std::move(handled));
    }
    count_handled(rank, event.event_id);
    if (!watched_) return;
    const std::lock_guard lock(mutex_);
    if (interrupt_ != nullptr) interrupt_->ring();
    if (!std::exchange(session_waits_, false)) return;
    watched_ = interrupt_ != nullptr;
    loop_.post([self = shared_from_this()] {
        if (self->attached_) self->hooks_.on_handled();
    });
}

/// A handler that waits lets later events be handled before its own is: these count when it does.
void GroupEvents::count_handled(int rank, std::uint64_t id) {
    auto& it = peer(rank);
    it.done.insert(id);
    auto handled = it.handled.load(std::memory_order_relaxed);
    for (auto next = it.done.begin(); next != it.done.end() && *next == handled + 1; next = it.done.erase(next))
        ++handled;
    it.handled.store(handled, std::memory_order_seq_cst);
}

void GroupEvents::answer(int rank, wire::EventHandled&& answer) {
    if (peer(rank).ring.load() != nullptr) {
        auto& out = peer(rank).answers;
        const auto frames = out.encode(answer);
        if (frames && memory_->send_event_answer(rank, *frames) == FrameRingWriter::Sent::yes) return out.sent();
    }
    loop_.post([self = shared_from_this(), rank, answer = std::move(answer)] {
        if (self->attached_) self->hooks_.send_answer(rank, answer);
    });
}

void GroupEvents::broken(int rank, std::string why) {
    peer(rank).broken = true;
    loop_.post([self = shared_from_this(), rank, why = std::move(why)] {
        if (self->attached_) self->hooks_.on_violation(rank, why);
    });
}

void GroupEvents::wait(bool /*events*/, bool /*answers*/, const Interrupt& interrupt, std::uint32_t seen,
                       std::optional<std::chrono::steady_clock::time_point> deadline) {
    waited_for_.clear();
    for (int rank = 0; rank < world_size_; ++rank) {
        if (readable(rank)) waited_for_.push_back(&peer(rank).ring.load()->ring());
    }
    if (waited_for_.empty()) return interrupt.wait(seen, deadline);
    waiter_.wait(waited_for_, interrupt, seen, deadline);
}

}  // namespace rankexec
