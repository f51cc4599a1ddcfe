// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/controller/job_run.hpp"
#include "rankexec/core/job/model/job_definition.hpp"
#include "rankexec/core/job/schedule/scheduler.hpp"
#include "rankexec/core/job/store/job_store.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

struct RANKEXEC_EXPORT JobRunnerOptions {
    JobRunOptions run;
    SchedulerOptions schedule;
    /// What becomes of the jobs that were dispatched or running when the controller before this one ended.
    enum class Restore : std::uint8_t {
        restore,    ///< they go on: parts that still live are taken over
        abandon,    ///< they are abandoned
        take_over,  ///< they are abnormal: another controller has had them
    };
    Restore restore = Restore::restore;
};

/// Has jobs scheduled and run, each on a thread of its own, until it is told to stop. What changes wakes it; it asks
/// nothing on an interval. Any thread may call everything.
class RANKEXEC_EXPORT JobRunner {
public:
    using Definition = tl::expected<JobDefinition, std::string>;

    /// `definition_of` reads job.toml in the bundle of a job; it may throw ConfigurationError. All that `ports` refer
    /// to outlives the runner. Starts nothing.
    JobRunner(JobRunnerOptions options, JobRunPorts ports,
              std::function<JobDefinition(const JobRecord&)> definition_of);
    ~JobRunner();  ///< stops
    JobRunner(const JobRunner&) = delete;
    JobRunner& operator=(const JobRunner&) = delete;

    /// Restores what an earlier controller has left, and schedules from now on.
    void start();
    /// This process is about to end: no job is begun any more, and what fails from now on, because sites can no longer
    /// be reached, decides about none. Does not wait.
    void let_go();
    /// Idempotent. The jobs that run are left as they are for the next controller, but for their controller parts.
    void stop();

    /// A job was submitted, a site or its resources came: look again.
    void wake();
    /// Ends a job: one that waits at once, one that runs as soon as its parts have. The record after that, or why not:
    /// it is unknown, or has ended already.
    [[nodiscard]] Stored<JobRecord> abort(const std::string& job, const std::string& reason);
    /// With all of its files. Refused while it is active, or is still being cleaned up.
    [[nodiscard]] Stored<void> remove(const std::string& job);

    // What sites and parts have to say:
    void on_controller_part_end(const std::string& job, const RunEnd& end);
    void on_report(const std::string& job, const std::string& failure);
    void on_site_part_end(const std::string& site, const std::string& job, const std::string& kind,
                          const std::string& detail);
    void on_site_connected(const std::string& site);
    void on_site_lost(const std::string& site);

    /// Jobs that have a run now.
    [[nodiscard]] std::vector<std::string> running() const;
    [[nodiscard]] std::vector<JobRun::Participant> participants(const std::string& job) const;
    /// What the job waits for, or why it ended: a sentence.
    [[nodiscard]] std::string explain(const JobRecord& job) const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace rankexec::job
