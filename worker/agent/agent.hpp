// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/shareable.hpp"
#include "rankexec/core/model/signal.hpp"
#include "rankexec/core/model/value.hpp"
#include "rankexec/ipc/pipe/pipe_handler_options.hpp"
#include "rankexec/ipc/wire/limits.hpp"

/// The side of a program that works for an executor without being one of its ranks: it takes tasks and gives results.
///
///     auto agent = rankexec::agent::init();
///     if (!agent) return (std::cerr << agent.error().message << '\n', 1);
///     while ((*agent)->is_running()) {
///         auto task = (*agent)->get_task(std::chrono::seconds(10));
///         if (!task) break;            // the executor has ended, or is gone
///         if (!*task) continue;        // nothing yet
///         if (auto sent = (*agent)->submit_result(train((*task)->input)); !sent) break;
///     }
namespace rankexec::agent {

using Milliseconds = std::chrono::milliseconds;

/// Why a call did nothing.
struct AgentError {
    enum class Kind : std::uint8_t {
        closed,  ///< the executor has ended, aborted or is gone, or the agent was closed: there is nothing to do any
                 ///< more
        call_state,     ///< the call does not fit what was called before: it is the program that is wrong
        refused,        ///< the executor does not take it; the task is over
        not_delivered,  ///< the executor has not taken it in time, or there was no room for it; it may be tried again
        connection,     ///< there is no way to the executor
        configuration,  ///< an argument, an option or a variable cannot be used
    };
    Kind kind = Kind::closed;
    std::string message;  ///< what, where, what to do
};

[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(AgentError::Kind kind) noexcept;

/// Work to do: to be answered by one submit_result.
struct Task {
    std::string name;
    std::string id;  ///< of this attempt: no other task has it
    Shareable input;
    std::optional<int> round;   ///< from the input's header of that name
    std::optional<int> rounds;  ///< likewise: how many there will be
    Signal abort;               ///< triggered when nobody wants the result any more
};

/// One program's connection to its executor. It sends heartbeats on a thread of its own, so that the executor knows
/// that the program lives, however long a task takes.
///
/// Threads: any, any number at a time. No call waits longer than its time-out says.
/// Errors: values; nothing but running out of memory or threads is thrown.
class RANKEXEC_EXPORT Agent {
public:
    virtual ~Agent();

    /// The next task; nothing when none has come within `timeout`, which must be above 0 (configuration). call_state
    /// while a task is open: its result must be submitted first. closed after the end, see AgentError.
    [[nodiscard]] virtual tl::expected<std::optional<Task>, AgentError> get_task(Milliseconds timeout) = 0;

    /// Waits like get_task, but takes nothing: true when that would return a task, or an error, at once; false when
    /// none has come within `timeout`, which may be 0. For those who are not sure that they still want the task then.
    [[nodiscard]] virtual bool wait_for_task(Milliseconds timeout) = 0;

    /// The result of the open task: one per task. Returns when the executor has taken it. call_state when no task is
    /// open; closed when nobody wants it any more. After refused the task is over, after not_delivered it is still
    /// open.
    [[nodiscard]] virtual tl::expected<void, AgentError> submit_result(Shareable result) = 0;

    /// False once the executor has ended, aborted or is gone, and after close().
    [[nodiscard]] virtual bool is_running() const = 0;
    /// Triggered, with the reason, when is_running() becomes false: for threads that work rather than wait here.
    [[nodiscard]] virtual Signal closed() const = 0;

    /// Fires an event of that type in the executor's engine: figures (numbers or text) by name. Returns when the
    /// executor has taken them, not when they were handled.
    [[nodiscard]] virtual tl::expected<void, AgentError> log(const Value::Map& figures,
                                                             std::string_view type = "metric") = 0;

    /// Tells the executor that this program has done all that it will, bounded, and ends all waits of other threads. An
    /// open task is over without a result. Idempotent; the destructor does it too.
    virtual void close() = 0;
};

/// How a launched program finds and keeps its executor. The defaults fit those of the executors.
struct RANKEXEC_EXPORT InitOptions {
    std::string address;                   ///< as exchange::AgentAddress reads it; empty: the variable RANKEXEC_AGENT
    Milliseconds connect_timeout{60'000};  ///< for the way to the executor to be there
    Milliseconds submit_timeout{
        60'000};                      ///< for the executor to take a result, in each of handler.max_resends + 1 tries
    Milliseconds log_timeout{5'000};  ///< for the executor to take what is logged
    PipeHandlerOptions handler;       ///< heartbeats, and when the executor counts as gone
};

/// For a program that an executor has launched: connects to it. The variable RANKEXEC_AGENT is removed from this
/// process's environment and a secret in it is overwritten, so that no program that this one starts takes it for its
/// own: call it once, before other threads exist.
///
/// Fails with call_state when no executor has launched this program, and on ranks other than 0 (variable RANK), because
/// only rank 0 of a launched group has the connection; with configuration for options or an address that cannot be; and
/// with connection when the executor is not there.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::unique_ptr<Agent>, AgentError> init(InitOptions options = {});

/// How a program that is there before its executors, and after them, is found by them.
struct RANKEXEC_EXPORT AttachOptions {
    std::string site = "local";  ///< the executor's option `site`
    std::string id;              ///< the executor's option `agent_id`; unique among the site's agents
    std::string base_folder;     ///< of meeting places on this host; empty: as exchange::meeting_folder() says
    std::string key_file;        ///< empty: the one at the meeting place; made when it is missing
    std::string listen;  ///< HOST:PORT, for executors on other hosts; *:PORT: on every interface; empty: this host
    Milliseconds connection_timeout{60'000};  ///< for the first executor to come; then the agent closes. 0: no limit
    Milliseconds submit_timeout{30'000};      ///< for the executor to take a result
    Milliseconds resend_interval{2'000};      ///< between two attempts at that
    Milliseconds log_timeout{5'000};          ///< for the executor to take what is logged
    wire::Limits limits;
};

/// For a program that an executor attaches to, and that outlives it: begins to listen for executors at the meeting
/// place of site and id. One executor at a time; it may be restarted, and the connection cut, meanwhile. The agent
/// closes after the executor's bye at the end of its run; attach() again for the next one.
///
/// A result is taken once or submit_result says why not. After not_delivered the same result may be submitted again. A
/// program that was restarted before it could submit its result may call submit_result before its first get_task: the
/// header `task_id` says which task it belongs to (Task::id); without it, it belongs to what the program had last got.
///
/// Fails with configuration for options that cannot be, or a meeting place that cannot be used, and with connection
/// when an agent of that name runs already.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::unique_ptr<Agent>, AgentError> attach(const AttachOptions& options);

}  // namespace rankexec::agent
