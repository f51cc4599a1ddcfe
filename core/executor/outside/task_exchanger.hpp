// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <tl/expected.hpp>

#include "rankexec/core/component/executor.hpp"
#include "rankexec/core/executor/outside/task_exchange_options.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/pipe/pipe.hpp"

namespace rankexec {

/// Executes tasks by handing them to the program at the other end of a pipe, which somebody else starts: a task is a
/// request whose topic is the task's name, its result is the reply. One task at a time.
///
/// As a component of an Engine it opens its pipe on start_run and closes it on about_to_end_run, after it has told the
/// program of the end. Without an engine, or to learn why the pipe could not be opened, call initialise() and
/// finalise(). What the program logs is fired in the engine as an event with the property `metric` and from_rank 0, on
/// a thread of this executor, one after another; a result counts when the handlers of all that was logged before it
/// have returned.
///
/// Replies that are not the program's: not_ready (no pipe is open), bad_request_data (a task is being executed, or the
/// caller is a handler of what the program logged), bad_task_data (the task's name is no topic, or the input is a
/// failed reply or over the limits), task_aborted (abort, end of the run, the program has ended or is gone),
/// execution_exception (the task was not taken, or its result is late or no result).
///
/// Every member function may be called from any thread; the destructor not from handlers of logged events.
class RANKEXEC_EXPORT TaskExchanger : public Executor {
public:
    /// A pipe, not opened yet; called for each run, because a closed pipe cannot be opened again.
    using MakePipe = std::function<std::shared_ptr<Pipe>()>;

    /// Throws ConfigurationError for options that contradict each other. Opens nothing.
    explicit TaskExchanger(MakePipe make_pipe, TaskExchangeOptions options = {});
    ~TaskExchanger() override;  ///< finalises

    /// Makes and opens the pipe. Fails with what the pipe says, and with bad_request_data while one is open.
    tl::expected<void, Failure> initialise();
    /// Tells the program that this is the end, bounded, ends a task that is being executed, and closes the pipe.
    void finalise();

    void handle_event(const std::string& type, Context& context) override;
    void quiesce() override;
    Shareable execute(const std::string& task, const Shareable& input, Context& context, const Signal& abort) override;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace rankexec
