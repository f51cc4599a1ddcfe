// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "rankexec/core/executor/fast_lane.hpp"
#include "rankexec/core/executor/first_cause.hpp"
#include "rankexec/core/executor/group_events.hpp"
#include "rankexec/core/executor/group_lifecycle.hpp"
#include "rankexec/core/executor/group_task.hpp"
#include "rankexec/core/executor/multi_process_executor.hpp"
#include "rankexec/core/executor/rank_group.hpp"
#include "rankexec/core/executor/stderr_tails.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/channel/parent_channel.hpp"
#include "rankexec/ipc/transport/memory_server.hpp"
#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec {

/// One incarnation of an executor's group: drives it through its life cycle, sends it tasks and
/// events, and turns whatever goes wrong into the one failure that caused it.
///
/// Lives on one EventLoop: all functions are called on its thread, and so are all callbacks, each of
/// which is called exactly once.
class GroupSession {
public:
    struct Hooks {
        /// As GroupEvents::Hooks::handle.
        std::function<wire::EventHandled(int rank, const wire::FireEvent&, Context& context)> handle_event;
        std::function<void(wire::RankOutput&&)> on_output;
        /// After each change of state.
        std::function<void(GroupState)> on_state;
        /// Tasks may take this lane from now on; nullptr: none any more.
        std::function<void(std::shared_ptr<FastLane>)> on_lane;
        /// Events may be fired there from now on; nullptr: nowhere any more.
        std::function<void(std::shared_ptr<GroupEvents>)> on_events;
    };

    /// `turn` and `event_lane` are shared by all incarnations.
    GroupSession(EventLoop& loop, const MultiProcessOptions& options, std::uint32_t incarnation, TaskTurn& turn,
                 EventLane& event_lane, Hooks hooks);
    ~GroupSession();

    void launch(Context context, std::function<void(tl::expected<void, Failure>)> on_ready);
    void submit(GroupTask task);
    /// Whose turn it is may have changed.
    void start_next_task();
    void abort_task(std::uint64_t id, const std::string& reason);
    void acknowledge_output(int rank, std::size_t bytes);
    /// Ends the group. `on_gone` when nothing is left.
    void close(std::function<void()> on_gone);
    /// Gives up on a group that is not ready yet, with that failure.
    void give_up(Failure failure);

    [[nodiscard]] GroupState state() const noexcept { return state_; }
    /// Why the group failed; nothing when it has not.
    [[nodiscard]] const std::optional<Failure>& failure() const noexcept { return failure_; }
    void report(GroupReport& report) const;

private:
    struct Rank {
        bool hello = false;
        bool handler_attached = false;
        bool relay_attached = false;
        bool initialised = false;
        bool exited = false;
        bool reports_stacks = false;  ///< when it is asked to
        bool has_memory = false;      ///< it shares memory with us
        std::int64_t pid = 0;
        std::string host;
        [[nodiscard]] bool connected() const { return hello && handler_attached && relay_attached; }
    };
    struct OpenTask {
        OpenTask();  // declared: std::optional asks for it while this class is incomplete
        GroupTask task;
        RankResults results;
        std::optional<Failure> verdict;  ///< abort or deadline: what the reply will say
        FirstCause cause;
        bool by_memory = false;  ///< the ranks have got it there, and answer there when they can
        std::set<int> asked;     ///< ranks whose stacks the verdict still waits for
        bool told_to_abort = false;
        std::set<int> incomplete;  ///< ranks that got the task without all its tensors, because it was aborted
        EventLoop::TimerId stack_timer = 0;
        EventLoop::TimerId settle_timer = 0;
        EventLoop::TimerId tail_timer = 0;
        EventLoop::TimerId grace_timer = 0;
    };
    bool advance(GroupEvent event);

    void on_execution(int rank, wire::Message&& message);
    void on_handler(int rank, wire::Message&& message);
    void on_relay(int rank, wire::Message&& message);
    void on_hello(int rank, wire::Hello&& hello);
    void on_attached(int rank);
    void on_initialised(int rank, wire::Initialised&& message);
    void on_result(int rank, wire::Result&& result);
    void on_violation(int rank, const std::string& why);
    void on_rank_exited(const wire::RankExited& report);
    void on_group_ended(const wire::SupervisionEnded& report);

    void offer_memory(const Bootstrap& bootstrap);
    void share_memory(const Bootstrap& bootstrap);
    void take_events(const Bootstrap& bootstrap);
    void adopt_links(int rank, RankLinks links);
    void send_event(const wire::EncodedBody& to_first, const wire::EncodedBody& to_others);
    void open_lane();
    void close_lane();
    void adopt(GroupTask&& task, RankResults&& results, bool sent);

    void send_open_task();
    void drain_lane();
    void expect_results();
    void expire(std::uint64_t id);
    void ask_for_stacks();
    void on_stack(int rank, wire::StackReport&& report);
    void stacks_are_in();
    void on_tail(wire::TailReport&& report);
    [[nodiscard]] std::optional<GroupTask> take_from_queue(std::uint64_t id);
    void abort_ranks(const std::string& reason);
    void expect_end_of_task();
    void judge_task();
    void finish_task_if_complete();
    void finish_task(Failure failure);
    void drop_timers(OpenTask& open);
    [[nodiscard]] GroupReply collect(OpenTask& open) const;

    void note_loss(FirstCause::Kind kind, Failure failure);
    void judge_loss();
    void fail_everything(const Failure& failure);
    /// What every failure of this group has: the task that is open, and where the logs are.
    void complete(Failure& failure) const;
    void tell_ranks_to_close(const std::string& reason);
    void end_after_grace(std::chrono::milliseconds grace);

    [[nodiscard]] Failure failure_of_death(const wire::RankExited& report, ReturnCode code) const;
    [[nodiscard]] Failure failure_of_rank(int rank, ReturnCode code, std::string message) const;
    [[nodiscard]] ReturnCode code_of_loss() const;
    [[nodiscard]] FirstCause::Clock::time_point time_of_failure(int rank, const wire::Result& result) const;
    void send(ParentChannel& channel, int rank, const wire::Message& message);
    Rank& rank_at(int rank) { return ranks_.at(static_cast<std::size_t>(rank)); }

    EventLoop& loop_;
    const MultiProcessOptions& options_;
    std::uint32_t incarnation_;
    TaskTurn& turn_;
    EventLane& event_lane_;
    Hooks hooks_;
    GroupState state_ = GroupState::idle;
    std::unique_ptr<RankGroup> group_;
    std::optional<ParentChannel> execution_;
    std::optional<ParentChannel> handler_;
    std::optional<ParentChannel> relay_;
    std::shared_ptr<ParentMemory> memory_;                                    ///< nullptr: none is shared
    std::shared_ptr<FastLane> lane_;                                          ///< nullptr: tasks go by channels
    std::shared_ptr<GroupEvents> events_;                                     ///< from launch() on
    std::unique_ptr<MemoryServer> memory_server_;                             ///< gives the ranks their memory
    std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);  ///< goes with this session
    std::vector<std::pair<int, wire::Result>> early_results_;  ///< by channel, of the task that is in the lane
    std::vector<Rank> ranks_;
    Context context_;  ///< of the run
    wire::Initialise initialise_;
    std::function<void(tl::expected<void, Failure>)> on_ready_;
    std::vector<std::function<void()>> on_gone_;
    std::deque<GroupTask> queue_;
    std::optional<OpenTask> open_;
    StderrTails tails_;  ///< of the ranks that failed in the open task, or while they built their components
    FirstCause loss_;
    std::optional<Failure> failure_;
    std::vector<std::int64_t> surviving_pids_;
    std::optional<Failure> end_failure_;  ///< of a rank that was told to close
    std::string log_error_;
    EventLoop::TimerId ready_timer_ = 0;
    EventLoop::TimerId loss_timer_ = 0;
    EventLoop::TimerId end_timer_ = 0;
    bool told_to_close_ = false;
    std::uint64_t dropped_results_ = 0;  ///< of tasks that are over, and second ones
};

}  // namespace rankexec
