// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/context.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/signal.hpp"

namespace rankexec {

/// What has become of the program that a Launcher has launched.
enum class RunStatus : std::uint8_t {
    not_running,  ///< none was launched, or it was stopped
    running,
    success,  ///< it ended by itself, with exit code 0
    failed,   ///< it ended with another exit code or by a signal, or was lost
};
[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(RunStatus status) noexcept;

/// What a launcher knows of the program that it launched last, for messages to people.
struct ProgramReport {
    std::string program;  ///< its command line; empty: the launcher does not say
    /// Its rank (of a group), host, pid, how it ended, its last lines of standard error, and what became of other
    /// ranks; as far as known, without a message of its own. Empty `exit`: it has not ended.
    Failure facts;
    bool ended_by_us = false;              ///< after stop_task or finalise
    std::vector<std::string> output_tail;  ///< last lines of its standard output, oldest first
};

/// Starts and stops the program that a LauncherExecutor exchanges tasks with: one program per task, or one for many.
///
/// Threads: initialise, launch_task and finalise are called one at a time; all others by any thread at any time, also
/// while another call is under way. The executor calls each on a thread of its own and waits for it no longer than its
/// time-outs say; a call that does not return keeps its thread, and the launcher alive.
/// Errors: values. What is thrown counts as a failure of that call.
class RANKEXEC_EXPORT Launcher {
public:
    using Milliseconds = std::chrono::milliseconds;

    virtual ~Launcher();

    /// Before the first launch_task, and again after finalise(). `context` is that of the run.
    [[nodiscard]] virtual tl::expected<void, Failure> initialise(Context& context);

    struct Launch {
        std::string task;           ///< its name
        std::string agent_address;  ///< for the program, as RANKEXEC_AGENT; may be a secret: never in a command line
    };
    enum class Launched : std::uint8_t {
        started,  ///< a program was started for this call
        running,  ///< the one that was started for an earlier task still runs, and serves this one too
    };
    /// Returns when the program runs. `abort` is triggered when nobody waits any more: then it returns as soon as it
    /// can, and stop_task follows, whatever it returned.
    [[nodiscard]] virtual tl::expected<Launched, Failure> launch_task(const Launch& launch, Context& context,
                                                                      const Signal& abort) = 0;

    enum class StopReason : std::uint8_t {
        finished,  ///< the task's result is there; a program that serves many tasks goes on
        given_up,  ///< the task failed or was aborted: the program is of no use any more
    };
    /// Returns when the program and all that it started is gone, or goes on for the next task. Idempotent; concurrent
    /// calls are safe.
    virtual void stop_task(const std::string& task, StopReason reason) = 0;

    [[nodiscard]] virtual RunStatus check_run_status(const std::string& task) = 0;

    /// Ends whatever runs. Idempotent.
    virtual void finalise() = 0;

    /// Whether a program is stopped after each task, so that there is something to defer: it may need time after its
    /// result, to save what it has.
    [[nodiscard]] virtual bool needs_deferred_stop() const = 0;

    /// From now on `callback` is called whenever the run status may have changed, from any thread; it returns at once.
    /// False: this launcher does not tell, and is asked from time to time.
    [[nodiscard]] virtual bool on_change(std::function<void()> callback);

    /// Whether the program may be on another host; after initialise().
    [[nodiscard]] virtual bool reaches_other_hosts() const;

    /// The longest that stop_task and finalise take; 0: unknown.
    [[nodiscard]] virtual Milliseconds longest_stop() const;

    /// Of the program that was launched last.
    [[nodiscard]] virtual ProgramReport report() const;
};

}  // namespace rankexec
