// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/job/model/job_definition.hpp"
#include "rankexec/core/job/model/job_record.hpp"
#include "rankexec/core/job/schedule/site_pool.hpp"
#include "rankexec/core/job/store/job_store.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

struct RANKEXEC_EXPORT SchedulerOptions {
    int max_jobs = 1;       ///< that hold a slot at the same time
    int max_attempts = 10;  ///< failed ones; after the last the job cannot be scheduled
    /// After the failed attempt n a job waits min(longest_backoff, first_backoff * 2^(n-1)).
    std::chrono::seconds first_backoff{10};
    std::chrono::seconds longest_backoff{600};
    /// Bounds the time of one pass; the next follows at once when more are due.
    int tries_per_pass = 20;
};

/// Decides which waiting jobs (submitted, approved) run now and on which sites; it starts nothing. First come first
/// served by the time of submission, but a job that cannot run does not hold up those behind it.
///
/// Attempts are counted in the store, so that a restart forgets none and the back-off goes on. A job is tried before
/// its back-off is over when sites or resources that it lacked at its last attempt have come.
///
/// Threads: pass() by one at a time; everything else by any thread at any time, also during a pass. Store and pool are
/// the caller's and outlive the scheduler. Nothing here throws but the constructor and what a hook throws (see there).
class RANKEXEC_EXPORT Scheduler {
public:
    /// The definition of a waiting job; called once per job and then remembered until the job waits no more. What it
    /// throws: ConfigurationError: the job is malformed, and ends as cannot_schedule with that reason; anything else
    /// derived from std::exception: the attempt fails with that reason.
    using DefinitionOf = std::function<JobDefinition(const JobRecord&)>;
    /// Why a job must not run.
    struct Veto {
        std::string reason;    ///< for people
        bool for_good = true;  ///< cannot_schedule at once; false: this attempt fails
    };
    /// Fires the event before the resource check; called by pass() on its thread. Empty: no objection. Throws nothing.
    using BeforeCheck = std::function<std::optional<Veto>(const JobRecord&, const JobDefinition&)>;
    struct Hooks {
        DefinitionOf definition_of;
        BeforeCheck before_check = {};         ///< may be left out
        std::function<WallTime()> clock = {};  ///< empty: wall_now
    };

    /// Throws ConfigurationError (option) for options that cannot be used, and when definition_of is missing.
    Scheduler(SchedulerOptions options, JobStore& store, SitePool& pool, Hooks hooks);
    ~Scheduler();
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    /// A job that shall run. It holds a slot from now on: release() it when it has ended, or was not started after all.
    struct Placement {
        JobRecord job;
        std::shared_ptr<const JobDefinition> definition;
        std::map<std::string, std::string> reservations;  ///< token by site: all sites that shall get a part of it
    };
    struct Pass {
        std::vector<Placement> placements;  ///< in the order of submission
        std::vector<JobRecord> given_up;    ///< are cannot_schedule in the store now
        /// When to make the next pass, even if nothing changes meanwhile. Empty: only when something does (a job was
        /// submitted, a slot released, a site or its resources came).
        std::optional<std::chrono::milliseconds> wake_in;
        std::optional<StoreError> trouble;  ///< the store has failed; what was placed before is in placements
    };
    /// Tries the jobs that are due until all slots are held. Makes nothing while no site is connected: no attempt
    /// counts then. Blocks as long as SitePool::reserve() does. A job that was aborted or deleted meanwhile may be
    /// among the placements: the caller's change of its status, a compare and set, finds that out.
    [[nodiscard]] Pass pass();

    /// Takes a slot for a job that runs already, after a restart of the controller; also over max_jobs.
    void hold(const std::string& job);
    /// Gives its slot back; nothing when it has none.
    void release(const std::string& job);
    [[nodiscard]] std::vector<std::string> holders() const;

    /// What a waiting job waits for, at this moment, for people: "needs 2 GPUs at site-b, 1 free; attempt 3 of 10, next
    /// in 40 s", or "waits for a slot: 1 of 1 held". For a job that does not wait: its reason.
    [[nodiscard]] std::string explain(const JobRecord& job) const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace rankexec::job
