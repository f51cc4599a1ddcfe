// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "rankexec/core/model/context.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/channel/event_lane.hpp"
#include "rankexec/ipc/channel/event_order.hpp"
#include "rankexec/ipc/channel/peer_channels.hpp"
#include "rankexec/ipc/channel/ring_messages.hpp"
#include "rankexec/ipc/transport/memory_link.hpp"

namespace rankexec::worker {

/// A rank's events, to its parent and from it: through shared memory where there is some, by a channel otherwise and
/// for what does not fit.
///
/// Any thread fires, and takes the answer from memory itself; the lane's thread handles the parent's events; the
/// reactor brings what came by a channel.
class RankEvents : public EventSource {
public:
    struct Hooks {
        /// On the lane: what this rank's components changed.
        std::function<ContextChanges(const wire::ParentEvent&)> handle;
        /// On the lane: one more was handled.
        std::function<void()> on_handled;
        /// On the loop. As PeerChannels::send.
        std::function<tl::expected<void, std::string>(ChannelKind, const wire::Message&)> send;
        /// On any thread: the parent does not follow the protocol.
        std::function<void(const std::string& why)> on_broken;
    };

    /// `loop` and `lane` outlive every call, and so does `memory`, which may be nullptr.
    RankEvents(EventLoop& loop, EventLane& lane, const RingIdentity& identity, RankMemory* memory, Hooks hooks);

    // ---- any thread ----
    /// Sends the event, whose number is filled in, and waits for the answer if one is wanted. Throws std::runtime_error
    /// when there is none.
    [[nodiscard]] ContextChanges fire(wire::FireEvent event);
    /// Number of the last one that was fired.
    [[nodiscard]] std::uint64_t last_fired() const noexcept { return last_fired_; }
    /// How many of the parent's were handled.
    [[nodiscard]] std::uint64_t handled() const noexcept { return handled_; }
    /// Waits until the parent has handled those that went by their channels one way, which are lost with the
    /// connection; what is in memory stays there.
    void flush(std::chrono::milliseconds patience);
    /// Nothing can be fired any more. Who waits for room is let go; who waits for an answer, by the lane's end.
    void stop();

    // ---- on the loop: came by a channel ----
    void receive(wire::ParentEvent&& event);
    void settle(wire::EventHandled&& answer);

    // ---- EventSource ----
    bool serve() override;
    [[nodiscard]] bool has_answers() const noexcept override { return in_memory(); }
    bool take_answer() override;
    void wait(bool events, bool answers, const Interrupt& interrupt, std::uint32_t seen,
              std::optional<std::chrono::steady_clock::time_point> deadline) override;

private:
    enum class Put { yes, never, ended };

    [[nodiscard]] bool in_memory() const noexcept { return memory_ != nullptr && !broken_; }
    [[nodiscard]] bool readable() const noexcept { return in_memory() && order_.may_read_ring(); }
    [[nodiscard]] ContextChanges fire(wire::FireEvent event, std::chrono::steady_clock::duration patience);
    [[nodiscard]] Put put(const wire::Message& message);
    void send_by_channel(wire::FireEvent&& event);
    void handle(const wire::ParentEvent& event);
    void answer(wire::EventDone&& done);
    /// The message that was read; nothing when there is none.
    [[nodiscard]] std::optional<wire::Message> checked(RingInbox::Read&& read);
    void broken(const std::string& why);

    EventLoop& loop_;
    EventLane& lane_;
    RankMemory* const memory_;
    const Hooks hooks_;
    std::atomic<bool> broken_{false};
    std::atomic<bool> stopped_{false};
    Interrupt interrupt_;  ///< of those that wait for room
    std::atomic<std::uint64_t> last_fired_{0};
    std::atomic<std::uint64_t> handled_{0};

    // The lane's.
    RingInbox events_;
    EventOrder<wire::ParentEvent> order_;  ///< the loop adds
    RingWaiter lane_waiter_;

    // Of the thread that takes answers.
    RingInbox answers_;
    RingWaiter answer_waiter_;

    std::mutex fire_mutex_;  ///< number and place together; guards what follows, and the ring
    RingOutbox out_;
    int unanswered_ = 0;  ///< one-way events that went by their channels since one was answered

    std::mutex mutex_;  ///< guards what follows
    std::map<std::uint64_t, std::shared_ptr<PendingAnswer>> pending_;
};

}  // namespace rankexec::worker
