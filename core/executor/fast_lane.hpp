// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rankexec/core/executor/group_events.hpp"
#include "rankexec/core/executor/group_task.hpp"
#include "rankexec/core/executor/task_turn.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/transport/memory_link.hpp"

namespace rankexec {

/// The short way of a task: from the thread that calls execute() through shared memory to ranks on this host, and back,
/// past the reactor. It knows one case, that every rank answers and all is well. In every other (an abort, a deadline,
/// a rank's failure or end, a result that came by a channel) it hands the task over to
/// the session, with the results that have come; from then on the caller's thread only tells the loop that there is
/// something in memory.
///
/// Shared by the session and the threads in run(). One lane for each incarnation of a group.
class FastLane : public std::enable_shared_from_this<FastLane> {
public:
    /// Called on the loop, until detach().
    struct Hooks {
        /// The task is the session's from now on. `sent`: the ranks have got it by memory.
        std::function<void(GroupTask&&, RankResults&&, bool sent)> adopt;
        /// The task, which was handed over before, is to be aborted.
        std::function<void(std::uint64_t id, const std::string& reason)> abort;
        /// A result that came by memory after adopt().
        std::function<void(int rank, wire::Result&&)> on_result;
        /// The lane is free again, and tasks were submitted to the session meanwhile.
        std::function<void()> on_turn;
        /// That rank does not follow the protocol.
        std::function<void(int rank, const std::string& why)> on_violation;
    };
    struct Identity {
        std::string run_id;
        std::uint32_t incarnation = 0;
        int world_size = 1;
    };

    /// `turn` and `loop` outlive every call.
    FastLane(EventLoop& loop, TaskTurn& turn, std::shared_ptr<ParentMemory> memory, Identity identity, Hooks hooks);

    /// Any thread.
    [[nodiscard]] ParentMemory& memory() noexcept { return *memory_; }

    // ---- on the loop ----
    /// Before the first task.
    void set_events(std::shared_ptr<GroupEvents> events) { events_ = std::move(events); }
    /// The task with that number, or with any, shall be handed over, if it is here.
    void request_hand_over(std::optional<std::uint64_t> id = std::nullopt);
    /// For good: a task that is here, and not handed over yet, ends with that failure.
    void close(const Failure& failure);
    /// Any thread.
    [[nodiscard]] bool closed() const noexcept { return closed_; }
    /// The session is going. No hook is called any more.
    void detach();
    /// Whether the task with that number is here.
    [[nodiscard]] bool has(std::uint64_t id) const;
    /// Between adopt() and the task's reply: hands out what has come by memory, for a judgement that counts who has
    /// answered.
    void drain();
    /// After adopt(): the first rank that the session has no result of; -1: it waits for none.
    void expect(int rank);

    // ---- on any thread but the loop's, after TaskTurn::take_lane() ----
    [[nodiscard]] GroupReply run(GroupTask task, const Signal& abort);

private:
    struct Outcome {
        GroupReply reply;
        std::atomic<bool> done{false};
    };

    // On the thread in run().
    [[nodiscard]] bool send(const GroupTask& task);
    [[nodiscard]] bool collect(const GroupTask& task, RankResults& results);
    [[nodiscard]] bool await_events(int rank, std::uint64_t last, std::optional<EventLoop::Clock::time_point> deadline);
    [[nodiscard]] GroupReply by_session(GroupTask task, RankResults results, bool sent);
    void watch(const Outcome& outcome);
    void leave();

    // On the loop.
    void take_over(GroupTask&& task, RankResults&& results, bool sent);
    void abort(std::uint64_t id, const std::string& reason);

    // On either, one at a time.
    [[nodiscard]] std::optional<wire::Result> next_result(int rank);
    [[nodiscard]] std::optional<wire::Result> broken(int rank, std::string why);
    [[nodiscard]] GroupReply ended(const GroupTask& task) const;

    EventLoop& loop_;
    TaskTurn& turn_;
    const std::shared_ptr<ParentMemory> memory_;  ///< who is in run(); after take_over() the loop receives
    const Identity identity_;

    // The loop's.
    Hooks hooks_;
    bool attached_ = true;
    bool adopted_ = false;  ///< a task that the ranks have got by memory is the session's, and without a reply yet
    std::optional<std::pair<std::uint64_t, std::string>> abort_;  ///< of the task with that number: why

    // Of who has the memory.
    RingOutbox tasks_;
    std::vector<RingInbox> inboxes_;  ///< by rank

    std::shared_ptr<GroupEvents> events_;
    Interrupt interrupt_;              ///< wakes the thread in run()
    std::atomic<bool> wanted_{false};  ///< the task here shall be handed over
    std::atomic<bool> broken_{false};  ///< a rank's ring must not be used any more
    std::atomic<bool> closed_{false};
    std::atomic<int> expected_{-1};

    mutable std::mutex mutex_;   ///< guards what follows
    std::uint64_t current_ = 0;  ///< number of the task that is here, not handed over; 0: none
    std::optional<Failure> end_;
};

}  // namespace rankexec
