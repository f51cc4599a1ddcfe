// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/component/component.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/shareable.hpp"
#include "rankexec/core/model/signal.hpp"

namespace rankexec::job {

/// What a Workflow can do with the sites of its job. Calls of one session may come from several threads; each waits
/// until it is done, its time is over, or `abort()` is triggered.
class RANKEXEC_EXPORT WorkflowSession {
public:
    using Milliseconds = std::chrono::milliseconds;

    virtual ~WorkflowSession();

    /// Sites whose part is there now, by name. A site that was lost is not; it may come back.
    [[nodiscard]] virtual std::vector<std::string> sites() const = 0;
    /// Fewer than these fail the job.
    [[nodiscard]] virtual int min_sites() const = 0;

    struct Broadcast {
        std::string task;
        Shareable input;
        std::vector<std::string> sites;  ///< empty: all that are there
        /// Return when so many sites have answered with ok, and `wait_after_min` has passed. 0: all of them.
        int min_responses = 0;
        Milliseconds wait_after_min{0};  ///< for the others, once there are min_responses
        Milliseconds timeout{0};         ///< for all of it; 0: none
    };
    /// The replies by site: those that came, whatever their code; a site that was lost meanwhile has one with
    /// execution_exception, a straggler none. Fails when min_responses can no longer be reached, or have not been in
    /// time; what comes later is counted and dropped, and its site is told to give the task up.
    [[nodiscard]] virtual tl::expected<std::map<std::string, Shareable>, Failure> broadcast_and_wait(
        const Broadcast& broadcast) = 0;
    /// One site. timeout 0: none.
    [[nodiscard]] virtual Shareable send(const std::string& site, const std::string& task, const Shareable& input,
                                         Milliseconds timeout) = 0;
    /// From site to site in that order, each with the reply of the one before as its input; the last one's reply, or
    /// that of the first that is not ok. `timeout` is for each.
    [[nodiscard]] virtual Shareable relay(const std::vector<std::string>& sites, const std::string& task,
                                          const Shareable& input, Milliseconds timeout) = 0;

    /// The job is to end early, or the session cannot go on.
    [[nodiscard]] virtual Signal abort() const = 0;

    /// What the run goes on from after the controller was restarted; durable when it returns. Replaces the one before.
    virtual void save_snapshot(const Shareable& state) = 0;
    /// Of an earlier incarnation of this run.
    [[nodiscard]] virtual std::optional<Shareable> snapshot() const = 0;

    /// A line for people who watch the job, e.g. one per site and round.
    virtual void progress(const std::string& line) = 0;
    /// A figure of the run, for `job show` and the summary. Names have [A-Za-z0-9_.-]; those that are equal up to the
    /// first dot ("accuracy", "accuracy.site-a") make a plot over `step`.
    virtual void figure(const std::string& name, std::int64_t step, double value) = 0;
    /// The job's result folder: what the workflow leaves there is what `job download` brings.
    [[nodiscard]] virtual const std::string& result_directory() const = 0;
    /// Results that came too late, so far.
    [[nodiscard]] virtual std::int64_t late_results() const = 0;
};

/// The controller part of a job: decides what its sites do. Built from the registry, as every component.
class RANKEXEC_EXPORT Workflow : public Component {
public:
    ~Workflow() override;

    /// The whole run, on a thread of its own; its end is that of the job. Returns soon after session.abort() was
    /// triggered. An exception is a failure with its message. With session.snapshot() it goes on from there.
    virtual tl::expected<void, Failure> run(WorkflowSession& session) = 0;
};

}  // namespace rankexec::job
