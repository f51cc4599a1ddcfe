// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/process/child_reaper.hpp"
#include "rankexec/core/process/control/control_group.hpp"
#include "rankexec/core/process/out_of_memory.hpp"
#include "rankexec/core/process/supervised_process.hpp"
#include "rankexec/core/process/sweep.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec::process {

/// Starts programs, reports what they do, and ends them and all that they left behind. What guardian
/// and rank shim have in common; it does not know who listens. It owns its process: it is subreaper,
/// reaps every child and ignores SIGPIPE. One thread, that of the loop.
///
/// How a group ends:
///   phase      entered                                leaves when
///   running    start                                  all programs have exited, or an end is requested
///   leftovers  all programs have exited by themselves what they left behind is gone
///   graceful   an end is requested                    all is gone, or the grace is over
///   forced     the grace is over, or there is none    all is gone, or cannot be killed
///   draining   all is gone                            the output has been taken
///   ended
class Supervisor {
public:
    struct Options {
        std::string host;  ///< in reports
        wire::EndingStep graceful;
        wire::EndingStep forced;
        int death_signal = 0;       ///< PDEATHSIG of what is started
        std::string log_directory;  ///< made if it is missing; empty: no logs
        wire::StdinMode stdin_mode = wire::StdinMode::none;
        bool forward_output = true;
        std::uint64_t output_credit = 0;
        std::vector<std::string> marks;             ///< NAME=value, by which processes of the group are known
        int parent_pidfd = -1;                      ///< handed to ranks; -1: none
        std::optional<ControlGroup> control_group;  ///< what is started lives there; none: no cgroup
        pid_t namespace_init = 0;                   ///< first process of the PID namespace of what is started; 0: ours
    };
    struct Callbacks {
        std::function<void(wire::Message&&)> report;
        /// Nothing is left but these. Once, last; the Supervisor must not be destroyed from within.
        std::function<void(std::vector<std::int64_t> surviving_pids)> on_ended;
    };

    /// Throws std::system_error when descriptors have run out.
    Supervisor(EventLoop& loop, Options options, Callbacks callbacks);
    ~Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    /// Starts one rank's program: RankStarted, or RankNotStarted, after which nothing more comes of
    /// this rank.
    void start_rank(const wire::ProgramSpec& program, const wire::RankSpec& rank);
    /// Starts the command that starts the ranks elsewhere. Its output is reported with rank -1, and so
    /// is RankNotStarted when it cannot run.
    void start_launcher(const wire::ProgramSpec& command);
    /// All has been started: from now on the end of the last program is the end of the group.
    void all_started();

    /// RankOutputCredit, RankInput, SignalRanks, EndGroup or LauncherStep; others are ignored.
    void handle(wire::Message&& message);
    /// Graceful step now, forced step after `grace`. A later call can only shorten the time.
    void request_end(std::chrono::milliseconds grace);
    /// Nobody listens any more: output is no longer kept for anybody.
    void stop_forwarding();

private:
    enum class Phase { running, leftovers, graceful, forced, draining, ended };
    using Clock = EventLoop::Clock;

    [[nodiscard]] ChildRequest child_request(const wire::ProgramSpec& program) const;
    [[nodiscard]] SupervisedProcess& add_process(std::int32_t rank);
    void not_started(std::int32_t rank, const StartError& error);
    [[nodiscard]] std::string log_stem(std::int32_t rank) const;
    [[nodiscard]] SupervisedProcess* find(std::int32_t rank);
    [[nodiscard]] bool anything_running() const;

    void on_exit(pid_t pid, const ExitStatus& status);
    void check_all_exited();
    void begin_graceful();
    void end_leftovers();
    void force();
    void kill_everything();
    void all_gone();
    void after_kill(const std::vector<ProcessInfo>& left);
    void drain();
    void limit_draining();
    void finish_if_drained();

    /// Runs a step's command; false when it has none, or needs a step that is not known.
    bool run_command(const wire::EndingStep& step);

    EventLoop& loop_;
    Options options_;
    Callbacks callbacks_;
    std::optional<rlimit> descriptor_limit_;
    UniqueFd control_group_;  ///< the folder of the cgroup, if there is one
    ChildReaper reaper_;
    Sweep sweep_;
    OutOfMemoryWatch memory_;
    std::list<SupervisedProcess> processes_;
    bool has_launcher_ = false;
    Environment command_environment_;
    std::string launcher_step_;
    bool adopted_ended_ = false;  ///< since the last look of the sweep
    pid_t command_pid_ = 0;       ///< of a running step's command; 0: none
    std::function<void()> on_command_end_;

    Phase phase_ = Phase::running;
    bool all_started_ = false;
    bool end_requested_ = false;
    bool forwarding_ = true;
    Clock::time_point deadline_{};  ///< of the grace
    Clock::time_point kill_began_{};
    EventLoop::TimerId timer_ = 0;  ///< of the current phase
    std::vector<std::int64_t> surviving_;
};

}  // namespace rankexec::process
