// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <tl/expected.hpp>

#include "rankexec/core/executor/outside/agent_pipe.hpp"
#include "rankexec/core/executor/outside/launcher.hpp"
#include "rankexec/core/executor/outside/launcher_executor.hpp"
#include "rankexec/core/executor/outside/task_exchange.hpp"
#include "rankexec/ipc/pipe/wait_room.hpp"

namespace rankexec {

/// What a LauncherExecutor does, without being a component: the exchange of tasks, the launcher, and the monitor, a
/// thread that watches the launcher's program, stops it after a deferred stop, and ends the run.
///
/// Any thread may call every function; the destructor not from a handler of what the program has logged.
class LauncherSession {
public:
    using Milliseconds = std::chrono::milliseconds;

    LauncherSession(std::shared_ptr<Launcher> launcher, LauncherExecutorOptions options, TaskExchange::OnLog on_log);
    ~LauncherSession();
    LauncherSession(const LauncherSession&) = delete;
    LauncherSession& operator=(const LauncherSession&) = delete;

    [[nodiscard]] tl::expected<void, Failure> initialise(const Context& context);
    [[nodiscard]] bool is_up() const;
    /// Tells the program that the run is about to end; the task that is being executed is aborted.
    void end_exchange();
    void finalise();
    [[nodiscard]] Shareable execute(const std::string& task, const Shareable& input, const Context& context,
                                    const Signal& abort);
    [[nodiscard]] ProgramReport report() const;

private:
    enum class Phase : std::uint8_t {
        idle,
        launching,  ///< the launcher is at work
        coming_up,  ///< the program runs, and has not been heard
        executing,  ///< it has the task, or is about to
        stopping,   ///< nothing that happens to it matters any more
    };
    /// What the monitor remembers of one phase of one task.
    struct Watch {
        Watch() = default;
        Watch(std::uint64_t number, Phase of) : task(number), phase(of) {}
        std::uint64_t task = 0;
        Phase phase = Phase::idle;
        std::uint64_t changes_seen = 0;  ///< of the launcher, before the last look
        bool looked = false;
        pipe::Clock::time_point next_look{};                         ///< at a launcher that does not tell
        std::optional<pipe::Clock::time_point> last_result_until{};  ///< the program has ended well
    };
    struct Deferred {
        std::string task;
        std::uint64_t number = 0;
        pipe::Clock::time_point until;
        Signal::Subscription on_abort;
    };

    // ---- the caller of initialise ----
    [[nodiscard]] tl::expected<void, Failure> prepare(const Context& context);

    // ---- the caller of execute ----
    [[nodiscard]] std::optional<Failure> take_turn(const std::string& task);
    void give_turn_back();
    void end_deferred(const Signal& abort);
    [[nodiscard]] Shareable execute_in_turn(const std::string& task, const Shareable& input, const Context& context,
                                            const Signal& abort);
    [[nodiscard]] tl::expected<Shareable, Failure> run(const std::string& task, const Shareable& input,
                                                       const Context& context, bool was_up);
    [[nodiscard]] tl::expected<Launcher::Launched, Failure> launch(const std::string& task, const Context& context);
    [[nodiscard]] tl::expected<void, Failure> await_program();
    void conclude(const std::string& task, const Signal& abort);
    void defer_stop(const std::string& task, const Signal& abort);
    [[nodiscard]] Shareable fail(const std::string& task, Failure failure);
    static void explain(Failure& failure, const ProgramReport& report, bool told);
    void set_phase(Phase phase);

    // ---- any thread ----
    [[nodiscard]] bool is_ending() const;
    bool stop_program(const std::string& task, Launcher::StopReason reason);
    [[nodiscard]] tl::expected<RunStatus, std::string> look(const std::string& task);
    [[nodiscard]] bool may_run(const std::string& task);

    // ---- the monitor ----
    void monitor();
    [[nodiscard]] pipe::Clock::time_point look_after(Watch& watch);
    [[nodiscard]] pipe::Clock::time_point look_after_deferred(Watch& watch);
    [[nodiscard]] std::optional<tl::expected<RunStatus, std::string>> look_if_due(Watch& watch,
                                                                                  const std::string& task);
    void judge(Watch& watch, const tl::expected<RunStatus, std::string>& status);
    void give_up(const Watch& watch, ReturnCode code, const std::string& what);
    void stop_deferred(Launcher::StopReason reason);
    void end_run();

    const std::shared_ptr<Launcher> launcher_;
    const LauncherExecutorOptions options_;
    /// Shared with the launcher's callback, which may come late.
    const std::shared_ptr<pipe::WaitRoom> room_ = std::make_shared<pipe::WaitRoom>();
    const std::shared_ptr<std::atomic<std::uint64_t>> changes_ = std::make_shared<std::atomic<std::uint64_t>>(0);
    const bool tells_;  ///< the launcher says when something has changed
    TaskExchange exchange_;
    mutable std::mutex mutex_;
    bool up_ = false;
    bool busy_ = false;    ///< a task has its turn
    bool ending_ = false;  ///< the monitor ends the run when nobody is busy
    Phase phase_ = Phase::idle;
    std::uint64_t task_count_ = 0;
    std::string task_;
    std::optional<Deferred> deferred_;  ///< a program whose task is over
    std::atomic<bool> deferred_aborted_ = false;
    std::unique_ptr<AgentPipe> pipe_;
    std::optional<exchange::AgentAddress> address_;
    bool stopping_ = false;  ///< the monitor ends
    std::thread monitor_;
};

}  // namespace rankexec
