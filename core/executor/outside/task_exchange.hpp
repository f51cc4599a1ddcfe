// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/component/component.hpp"
#include "rankexec/core/executor/outside/task_exchange_options.hpp"
#include "rankexec/core/model/context.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/shareable.hpp"
#include "rankexec/core/model/signal.hpp"
#include "rankexec/ipc/exchange/program_log.hpp"
#include "rankexec/ipc/pipe/pipe_handler.hpp"
#include "rankexec/ipc/pipe/wait_room.hpp"

namespace rankexec {

/// What TaskExchanger and LauncherExecutor have in common: one pipe, one conversation over it at a time, one task in it
/// at a time.
///
/// A task is opened by begin_task(), which starts a fresh conversation on an emptied pipe, and closed by end_task(), by
/// one thread; in between any other may give it up. What the program logs is handed out on the reader's thread of the
/// conversation. Every other function may be called from any thread; none waits longer than the options say.
class TaskExchange {
public:
    using Milliseconds = std::chrono::milliseconds;
    /// `context`: of the open task; none when no task is open.
    using OnLog = std::function<void(exchange::ProgramLog&& log, const std::optional<Context>& context)>;

    TaskExchange(TaskExchangeOptions options, OnLog on_log);
    ~TaskExchange();  ///< closes; not from on_log
    TaskExchange(const TaskExchange&) = delete;
    TaskExchange& operator=(const TaskExchange&) = delete;

    /// Opens the pipe, which nobody else uses.
    [[nodiscard]] tl::expected<void, Failure> open(std::shared_ptr<Pipe> pipe);
    /// Gives an open task up, tells the program of the end, bounded, and closes the pipe. Idempotent.
    void close(const std::string& reason);
    [[nodiscard]] bool is_open() const;
    /// Whether the calling thread is in on_log: it must not wait for what needs it.
    [[nodiscard]] bool in_callback() const;

    /// False when a task is open, or no pipe is. `awaits_program`: the program is only about to start, so its silence
    /// means nothing before wait_for_program().
    [[nodiscard]] bool begin_task(const std::string& name, const Context& context, bool awaits_program);
    void end_task();
    /// The first failure that is given is what the open task fails with; its waits end. Nothing when none is open.
    void give_up(Failure failure);
    /// Why the open task was given up; nothing: it was not.
    [[nodiscard]] std::optional<Failure> verdict() const;
    /// Triggered when the open task is given up.
    [[nodiscard]] Signal given_up() const;

    /// Whether anything has come in this conversation, or need not come because the program was heard before.
    [[nodiscard]] bool program_is_up() const;
    /// For a task that awaits its program: it was started, so nothing counts that is still coming from those before it.
    void program_was_started();
    /// The same: it was running already, so it may have been heard before; `was_up`: it was, and need not be again.
    void program_was_running(bool was_up);
    /// Whether the program has ended this conversation, or is gone.
    [[nodiscard]] bool program_has_left() const;
    /// Whether the open task was given up because the program has ended the exchange, or is gone.
    [[nodiscard]] bool ended_by_program() const;
    /// Waits for the program's first sign of life; then its silence counts. False: not within `timeout`, or the task
    /// was given up.
    [[nodiscard]] bool wait_for_program(Milliseconds timeout);
    /// The program has ended, or is about to: its silence means nothing any more.
    void pause();

    /// Hands the open task over and waits for its result. Fails with the verdict, with bad_task_data when the input is
    /// over the limits, and with execution_exception when it is not taken, or its result late or bad.
    [[nodiscard]] tl::expected<Shareable, Failure> exchange(const Shareable& input);

    /// Tells the program, if it was heard in this conversation, bounded.
    void notify_end(const std::string& reason);
    /// The same for an abort.
    void notify_abort(const std::string& reason);
    /// Nothing more is read or sent, heartbeats included, before the next task.
    void end_conversation();

    [[nodiscard]] const TaskExchangeOptions& options() const noexcept { return options_; }
    /// Why no task of that name and input can be executed now by the calling thread; nothing: it can.
    [[nodiscard]] std::optional<Failure> refusal(const std::string& task, const Shareable& input,
                                                 const Signal& abort) const;
    /// After begin_task() has returned false.
    [[nodiscard]] Failure cannot_begin(const std::string& task) const;
    /// What a task fails with that was aborted for that reason.
    [[nodiscard]] static Failure aborted(const std::string& reason);

private:
    struct OpenTask {
        std::string name;
        Context context;
        std::string request_id;  ///< empty: not handed over yet
        Signal given_up;
        std::optional<Failure> verdict;
        std::optional<Shareable> result;
        bool awaits_program = false;  ///< nothing that an earlier program says last is meant for this task
        enum class Launched : std::uint8_t { not_yet, started, running };
        Launched launched = Launched::not_yet;
        bool earlier_was_heard = false;  ///< one of `earlier_`; whether it counts is known after the launch
        bool lost_early = false;
        bool ended_by_program = false;
    };

    [[nodiscard]] bool start_conversation(bool judged);
    void retire(std::unique_lock<std::mutex>& lock);
    void clear_retired();
    void on_status(std::uint64_t conversation, const PipeMessage& message);
    void on_message(std::uint64_t conversation, PipeMessage&& message);
    void on_bad(std::uint64_t conversation, const std::string& what);
    [[nodiscard]] bool on_arrival(std::uint64_t conversation, const PipeMessage& message);
    void set_program_up();
    void give_up_locked(Failure failure);
    void take_log(const PipeMessage& message);
    [[nodiscard]] std::optional<Shareable> take_result();
    [[nodiscard]] Failure failure_of(const PipeError& error) const;
    [[nodiscard]] std::shared_ptr<PipeHandler> handler() const;
    /// The same, when there is somebody at the other end.
    [[nodiscard]] std::shared_ptr<PipeHandler> handler_of_program() const;

    const TaskExchangeOptions options_;
    const OnLog on_log_;
    pipe::WaitRoom room_;  ///< notified of every change below
    mutable std::mutex mutex_;
    std::shared_ptr<Pipe> pipe_;
    std::shared_ptr<PipeHandler> handler_;
    std::vector<std::shared_ptr<PipeHandler>> retired_;  ///< stopped in their own callbacks; freed elsewhere
    std::uint64_t conversation_ = 0;                     ///< counts; what an earlier one says is ignored
    bool program_up_ = false;
    bool program_left_ = false;
    std::string session_;              ///< of who was heard last
    std::deque<std::string> earlier_;  ///< sessions that were heard before the open task; the last ones
    std::optional<OpenTask> task_;
};

}  // namespace rankexec
