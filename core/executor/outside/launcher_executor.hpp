// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/component/executor.hpp"
#include "rankexec/core/executor/outside/launcher.hpp"
#include "rankexec/core/executor/outside/task_exchange_options.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// docs/outside-programs.md is the reference for every time-out here.
struct RANKEXEC_EXPORT LauncherExecutorOptions {
    using Milliseconds = std::chrono::milliseconds;

    TaskExchangeOptions exchange;
    ExchangePipeOptions pipe;
    Milliseconds launch_timeout{0};              ///< for the launcher to start the program; 0: no limit
    Milliseconds pre_initialise{60'000};         ///< from then on, for the program to connect (agent::init)
    Milliseconds last_result_transfer{300'000};  ///< for its result to arrive after the program has ended well
    /// After a result, for a program that is stopped after each task to end by itself, while the caller goes on; 0: it
    /// is stopped at once.
    Milliseconds deferred_stop{0};
    Milliseconds monitor_interval{100};   ///< between two looks at a launcher that does not tell of changes
    Milliseconds status_timeout{10'000};  ///< for a launcher to say how the program is
    Milliseconds stop_timeout{120'000};   ///< for a launcher to stop the program; more than it needs itself

    /// Names of the tasks that are taken; a task whose name is empty is not. Their results are checked.
    std::string train_task = "train";
    std::string validate_task = "validate";          ///< its result must hold metrics
    std::string submit_model_task = "submit_model";  ///< its result must hold a model: at least one tensor
    std::vector<std::string> other_tasks;            ///< taken as well; nothing is known of their results
    bool train_with_evaluation = false;              ///< results of train_task must hold metrics, too
    /// The number that a result with metrics has among its headers or in its body; empty: any number in its body.
    std::string metric;

    /// Throws ConfigurationError, with the values that cannot be, or contradict each other.
    void validate() const;
};

/// Executes tasks by means of a program outside that a Launcher starts, one per task or one for many, and that takes
/// tasks and gives results over a pipe (librankexec_agent, or `rankexec agent`).
///
/// As a component of an Engine it gets ready on start_run, tells the program of the end on about_to_end_run, and ends
/// it on end_run. Without an engine, or to learn why it is not ready, call initialise() and finalise(); start_run then
/// finds it ready. What the program logs is fired in the engine as TaskExchanger says.
///
/// Replies that are not the program's are those of TaskExchanger, and: task_unknown (the task is none of the configured
/// ones), launch_error (the program could not be started), initialisation_error (it has not connected),
/// execution_exception (it ended without a result; its result is not ok, or is not what that task's result must be).
/// Their Failure names the program, how it ended, its last output, and what was waited for. After a failure the program
/// and all that it started is gone, and the next task launches it anew.
///
/// Every member function may be called from any thread; the destructor not from handlers of logged events.
class RANKEXEC_EXPORT LauncherExecutor : public Executor {
public:
    /// Throws ConfigurationError. Starts nothing. The launcher serves this executor alone.
    LauncherExecutor(std::shared_ptr<Launcher> launcher, LauncherExecutorOptions options = {});
    ~LauncherExecutor() override;  ///< finalises

    /// Initialises the launcher and opens the pipe; the program is launched with the first task. Fails with
    /// launch_error and the like, and then leaves nothing behind; with bad_request_data when it is ready already.
    tl::expected<void, Failure> initialise(Context& context);
    /// Aborts the task that is being executed, tells the program of the end, ends it, and removes the pipe. From a
    /// handler of what the program logged it only begins that; the caller of execute() completes it.
    void finalise();

    void handle_event(const std::string& type, Context& context) override;
    void quiesce() override;
    Shareable execute(const std::string& task, const Shareable& input, Context& context, const Signal& abort) override;

    /// Of the program that was launched last, for people and tests.
    [[nodiscard]] ProgramReport report() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace rankexec
