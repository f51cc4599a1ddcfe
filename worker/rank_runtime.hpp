// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <variant>

#include "rankexec/core/component/component_registry.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/model/signal.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/channel/event_lane.hpp"
#include "rankexec/ipc/channel/peer_channels.hpp"
#include "rankexec/ipc/channel/ring_messages.hpp"
#include "rankexec/ipc/transport/memory_link.hpp"
#include "rankexec/ipc/transport/memory_server.hpp"
#include "rankexec/worker/rank_events.hpp"
#include "rankexec/worker/stack_sampler.hpp"

namespace rankexec::worker {

/// False when the user has set RANKEXEC_NO_STACKS: no signal handler of ours in the worker.
[[nodiscard]] bool stacks_wanted();

/// One rank's session with its parent.
///
/// Threads: run()'s thread builds the components and executes tasks; the lane's thread handles the
/// parent's events, so that they reach a busy rank; the reactor thread owns the channels. An abort is
/// a Signal that the reactor triggers.
class RankRuntime {
public:
    /// `local_rank` counts within this host; where else the rank stands is in its Bootstrap.
    RankRuntime(const ComponentRegistry& registry, const Bootstrap& bootstrap, int local_rank);
    ~RankRuntime();

    /// Connects and works until the parent closes the group. Returns the process's exit code.
    int run();

    /// The parent is gone or does not follow the protocol: running tasks are aborted and run() returns
    /// once they do. Any thread.
    void end(const std::string& why);

private:
    class Relay;
    struct Stop {
        int exit_code = 0;
    };
    using Work = std::variant<wire::Initialise, wire::Execute, Stop>;

    // On the reactor thread.
    void on_message(wire::Message&& message);
    void on_bad_body(std::uint16_t type, const wire::DecodeError& error);
    void abort_task(std::uint64_t task_id, const std::string& reason);
    void close_when_handled();
    void make_events();
    void report_stack(std::uint64_t task_id);

    // On run()'s thread.
    /// Memory that is shared with a parent on this host, and the channels' connections that come with it; without it
    /// all goes over ZeroMQ.
    [[nodiscard]] std::optional<RankLinks> join_memory();
    [[nodiscard]] Work next_work();
    [[nodiscard]] std::optional<wire::Execute> take_task();
    void admit(std::uint64_t task_id);
    void work(wire::Initialise&& message);
    void work(wire::Execute&& message);
    [[nodiscard]] LentMemory lend(std::size_t size);
    void send_result(wire::Result result);
    [[nodiscard]] bool send_by_memory(const wire::Result& result);
    [[nodiscard]] Shareable execute(const wire::Execute& message, Context& context, const Signal& abort);

    // On the lane's thread.
    [[nodiscard]] ContextChanges handle(const wire::ParentEvent& message);

    // On the thread that fires.
    void relay(const std::string& type, Context& context);

    [[nodiscard]] Context context_from(PropertyMap properties) const;
    void send(ChannelKind kind, wire::Message message);
    void push(Work work);
    void wake_worker();

    const ComponentRegistry& registry_;
    Bootstrap bootstrap_;
    int local_rank_;

    EventLoop loop_;
    std::unique_ptr<PeerChannels> channels_;  ///< reactor thread
    std::unique_ptr<RankMemory> memory_;      ///< run()'s thread, but for allocate()
    bool memory_over_ = false;                ///< run()'s thread: nothing more is read from it
    Interrupt interrupt_;                     ///< ends run()'s wait for memory_
    bool by_memory_ = false;                  ///< run()'s thread: how the task came, and its result goes
    RingInbox memory_tasks_;                  ///< run()'s thread
    RingOutbox memory_results_;               ///< likewise
    std::unique_ptr<StackSampler> sampler_;   ///< of run()'s thread; asked by the reactor
    std::uint64_t close_after_ = 0;           ///< reactor thread: parent event to be handled before the end
    std::atomic<bool> closing_{false};        ///< set by the reactor thread
    bool closed_ = false;                     ///< reactor thread

    std::mutex mutex_;  ///< guards what follows
    std::condition_variable changed_;
    std::deque<Work> work_;
    std::map<std::uint64_t, Signal> tasks_;         ///< open tasks
    std::map<std::uint64_t, std::string> aborted_;  ///< aborts that came before their task
    std::uint64_t last_task_ = 0;                   ///< highest task id seen
    bool ended_ = false;

    std::atomic<bool> initialised_{false};
    std::unique_ptr<Engine> engine_;
    Executor* executor_ = nullptr;
    std::uint64_t failed_at_ = 0;  ///< run()'s thread: when the last task's user code threw; 0: it did not
    std::shared_ptr<RankEvents> events_;
    std::unique_ptr<EventLane> lane_;
};

}  // namespace rankexec::worker
