// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "rankexec/core/component/executor.hpp"
#include "rankexec/core/executor/outside/exchanger_table.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/exchange/meeting_place.hpp"
#include "rankexec/ipc/wire/limits.hpp"

namespace rankexec {

/// A property of the run's context: a map of what is known of the job.
inline constexpr std::string_view kJobMetaProperty = "job_meta";
/// Text in it: the agent that the job's tasks are for.
inline constexpr std::string_view kAgentIdKey = "agent_id";
/// A property: the name of the site where the run is. Without it and without the option: kDefaultSite.
inline constexpr std::string_view kSiteProperty = "site_name";
inline constexpr std::string_view kDefaultSite = "local";

/// Where the agent is, and how long is waited for what. docs/outside-programs.md is the reference.
struct RANKEXEC_EXPORT IpcExchangerOptions {
    using Milliseconds = std::chrono::milliseconds;

    std::string site;         ///< empty: kSiteProperty of the run's context
    std::string agent_id;     ///< empty: kAgentIdKey in kJobMetaProperty of the run's context
    std::string base_folder;  ///< of meeting places on this host; empty: as exchange::meeting_folder() says
    std::string key_file;     ///< empty: the one at the meeting place
    std::string
        address;  ///< HOST:PORT of an agent on another host; its key_file has to be named then; empty: this host

    Milliseconds send_timeout{5'000};         ///< for the agent to answer a task, before it is sent again
    Milliseconds resend_interval{2'000};      ///< between two such attempts
    Milliseconds heartbeat_interval{5'000};   ///< between two heartbeats to the agent
    Milliseconds disconnected_after{60'000};  ///< without an answer; longer than heartbeat_interval. The job lives on
    /// After so long an absence of the agent its task fails and a system panic is fired, once. 0: never; otherwise at
    /// least disconnected_after.
    Milliseconds dead_after{0};
    Milliseconds acknowledge_timeout{5'000};  ///< for the agent to answer the end of the run
    bool say_bye = true;                      ///< tell the agent of the end of the run: its work is done then
    /// So many processes of the agent may be given the same task, one after another as they end; then it fails.
    int max_attempts = 10;
    wire::Limits limits;

    /// Throws ConfigurationError, with the values that cannot be, or contradict each other.
    void validate() const;
};

/// For people and tests.
struct IpcExchangerReport {
    ExchangerState state = ExchangerState::closed;
    std::string agent;               ///< SITE/ID; empty while closed
    std::uint64_t attempts = 0;      ///< of tasks, so far
    std::uint64_t late_results = 0;  ///< that fitted no open task
    std::uint64_t rejected = 0;      ///< messages and connections that were turned away
};

/// Executes tasks by handing them to an agent: a program that somebody else has started, that outlives the run, and
/// that may be restarted meanwhile, as may this process. It connects, and connects again.
///
/// A result is delivered once or the task is reported failed, whatever is restarted or cut when;
/// ipc/exchange/PROTOCOL.md says why. When the agent's process ends with a task, its next process is given the task
/// again, up to max_attempts times. Nothing else is executed twice.
///
/// As a component of an Engine it begins on start_run and ends on end_run, with a bye to the agent. Without an engine,
/// or to learn why it cannot begin, call initialise() and finalise(). What the program logs is fired in the engine as
/// an event with the property `metric` and from_rank 0, on a thread of this executor, one after another; execute
/// returns when the handlers of all that was logged before the result have returned.
///
/// Replies that are not the program's: not_ready (not begun), bad_request_data (a task is open, the agent refuses this
/// one, or the caller is a handler of what the program logged), bad_task_data (the input is a failed reply, its
/// data_kind is no name, or it is over the limits), task_aborted (abort, end of the run), execution_exception (what
/// came is no result, the task was lost, or the agent is dead). A result with another code than ok comes without data.
///
/// Every member function may be called from any thread; finalise() and the destructor not from handlers of logged
/// events.
class RANKEXEC_EXPORT IpcExchanger : public Executor {
public:
    /// Throws ConfigurationError for options that cannot be. Opens nothing.
    explicit IpcExchanger(IpcExchangerOptions options);
    ~IpcExchanger() override;  ///< finalises

    /// Begins to look for the agent, and returns. Fails with launch_error when the meeting place cannot be used, with
    /// initialisation_error when no agent is named, and with bad_request_data when it has begun before.
    tl::expected<void, Failure> initialise(const Context& context);
    /// Aborts the open task, says bye, bounded, and lets go of the agent. initialise() may follow. Idempotent.
    void finalise();

    void handle_event(const std::string& type, Context& context) override;
    void quiesce() override;
    /// Waits for the agent as long as it takes, unless dead_after is set; and for the result without a limit.
    Shareable execute(const std::string& task, const Shareable& input, Context& context, const Signal& abort) override;

    [[nodiscard]] IpcExchangerReport report() const;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace rankexec
