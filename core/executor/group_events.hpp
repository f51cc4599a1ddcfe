// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rankexec/core/model/context.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/channel/event_lane.hpp"
#include "rankexec/ipc/channel/event_order.hpp"
#include "rankexec/ipc/channel/ring_messages.hpp"
#include "rankexec/ipc/transport/memory_link.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// The events of one incarnation of a group, in both directions: through shared memory where a rank has it, by its
/// channel otherwise and for what does not fit; in order, whichever way each came. The lane's thread reads the memory
/// itself and handles what is there; the loop only brings what came by a channel.
///
/// Shared by the session, the lane and the threads that fire.
class GroupEvents : public EventSource, public std::enable_shared_from_this<GroupEvents> {
public:
    struct Hooks {
        /// On the lane: what the parent's components make of a rank's event, in the context that it belongs to.
        std::function<wire::EventHandled(int rank, const wire::FireEvent&, Context& context)> handle;
        // The others on the loop, until detach().
        /// By its channel.
        std::function<void(int rank, const wire::EventHandled&)> send_answer;
        /// To all ranks by their channels; the first rank is asked for its changes.
        std::function<void(const wire::EncodedBody& to_first, const wire::EncodedBody& to_others)> send_event;
        /// An event was handled that wait_in_session() waits for.
        std::function<void()> on_handled;
        /// That rank does not follow the protocol.
        std::function<void(int rank, const std::string& why)> on_violation;
    };
    /// One of the parent's, for the ranks.
    struct Event {
        std::string type;
        Context context;
        bool all_ranks = false;  ///< wait for every rank, not only for rank 0
        bool one_way = false;    ///< wait for none
        /// On any thread, once: when there is an answer, and of a one-way event when the next may follow.
        std::function<void(ContextChanges&&, std::string error)> on_done;
    };

    /// `identity.rank` is of no account. `loop` and `lane` outlive every call. `run`: the context of what belongs to no
    /// task and no event. `memory`: nullptr where none is shared.
    GroupEvents(EventLoop& loop, EventLane& lane, const RingIdentity& identity, int world_size, Context run,
                std::shared_ptr<ParentMemory> memory, Hooks hooks);

    // ---- on the loop ----
    /// That rank has its memory and writes its events there.
    void add_rank(int rank);
    /// The group is ready: events may be fired.
    void open(bool by_memory);
    /// No event is fired any more. Returns the number of the last one.
    std::uint64_t stop_firing();
    /// Those that wait for answers end with that error.
    void fail(const std::string& error);
    /// The group has ended. What ranks have left in memory is still handled; no hook is called but `handle`.
    void detach();
    /// Came by its channel.
    void receive(int rank, wire::FireEvent&& event);
    /// Whether the parent has handled that rank's events up to that number; if not, on_handled will be called.
    [[nodiscard]] bool wait_in_session(int rank, std::uint64_t last);

    // ---- on any thread ----
    /// Returns its number; 0: it was not sent.
    std::uint64_t fire(Event event);
    /// Nobody waits for that event's answer any more.
    void forget(std::uint64_t id);
    void done(int rank, wire::EventDone&& done);
    /// The task that runs: what its ranks change with their events belongs to its context.
    void begin_task(std::uint64_t id, const Context& context);
    void end_task(std::uint64_t id);
    [[nodiscard]] std::uint64_t handled(int rank) const {
        return peers_[static_cast<std::size_t>(rank)].handled.load(std::memory_order_seq_cst);
    }
    /// Rung after each event of a rank that has been handled; nullptr: none. It must be there until it is replaced.
    void watch(Interrupt* interrupt);

    // ---- EventSource ----
    bool serve() override;
    [[nodiscard]] bool has_answers() const noexcept override { return false; }
    bool take_answer() override { return false; }
    void wait(bool events, bool answers, const Interrupt& interrupt, std::uint32_t seen,
              std::optional<std::chrono::steady_clock::time_point> deadline) override;

private:
    struct OpenEvent {
        Event event;
        std::set<int> awaited;
        ContextChanges changes;
    };
    /// What comes from one rank, and the answers. The lane's, where not said otherwise.
    struct Peer {
        Peer(const RingIdentity& identity) : inbox(identity), answers(identity) {}
        RingInbox inbox;
        RingOutbox answers;
        EventOrder<wire::FireEvent> order;
        std::atomic<FrameRingReader*> ring{nullptr};  ///< any thread; nullptr: its events come by its channel
        std::atomic<std::uint64_t> handled{0};        ///< any thread: all up to this number were
        std::set<std::uint64_t> done;                 ///< those that were handled while one before them is not yet
        bool broken = false;
    };

    [[nodiscard]] bool serve(int rank);
    [[nodiscard]] bool readable(int rank);
    void read(int rank, RingInbox::Read&& read);
    void handle(int rank, wire::FireEvent&& event);
    void count_handled(int rank, std::uint64_t id);
    void answer(int rank, wire::EventHandled&& answer);
    [[nodiscard]] Context context_of(const wire::FireEvent& event);
    [[nodiscard]] bool put(const wire::EncodedBody& body);
    void await(Event&& event, int ranks);
    void send_by_channel(wire::ParentEvent message);
    void broken(int rank, std::string why);
    Peer& peer(int rank) { return peers_[static_cast<std::size_t>(rank)]; }

    EventLoop& loop_;
    EventLane& lane_;
    const int world_size_;
    std::shared_ptr<ParentMemory> memory_;  ///< until all that was left there has been handled

    Hooks hooks_;  ///< `handle` is the lane's, the others the loop's
    bool attached_ = true;

    // The lane's.
    int turn_ = 0;  ///< rank that is looked at first
    std::vector<RingReader*> waited_for_;
    RingWaiter waiter_;

    std::deque<Peer> peers_;
    std::atomic<bool> watched_{false};  ///< somebody waits for events to be handled

    std::mutex mutex_;  ///< guards what follows
    bool open_ = false;
    bool by_memory_ = false;  ///< every rank reads events there
    RingOutbox to_all_;
    std::uint64_t last_event_ = 0;
    int unanswered_ = 0;  ///< one-way events that went by their channels since one was answered
    std::map<std::uint64_t, OpenEvent> events_;
    std::optional<std::pair<std::uint64_t, Context>> task_;
    Context run_;
    Interrupt* interrupt_ = nullptr;
    bool session_waits_ = false;
};

}  // namespace rankexec
