// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/job/backend/run_backend.hpp"
#include "rankexec/core/job/controller/sites.hpp"
#include "rankexec/core/job/model/job_definition.hpp"
#include "rankexec/core/job/model/part_setup.hpp"
#include "rankexec/core/job/store/job_store.hpp"

namespace rankexec::job {

/// Time limits of a job's run, and what its controller part may load. docs/jobs.md is the reference.
struct RANKEXEC_EXPORT JobRunOptions {
    using Milliseconds = std::chrono::milliseconds;
    std::filesystem::path folder;                 ///< a job's workspace is the folder of its id in here
    Milliseconds deploy_timeout{600'000};         ///< for all sites to have unpacked the bundle
    Milliseconds start_timeout{60'000};           ///< for all sites to have started their part
    Milliseconds abort_timeout{10'000};           ///< for parts to end in band, before force
    Milliseconds site_return_timeout{60'000};     ///< for a site that is lost to come back
    Milliseconds store_pause{1'000};              ///< before a store that has failed is asked again
    Milliseconds controller_gone_after{300'000};  ///< PartSetup::controller_gone_after
    bool bundle_code = true;                      ///< PartSetup::bundle_code, of the controller part
};

/// What runs of all jobs share. Whoever makes a JobRun sees to it that these outlive it.
struct RANKEXEC_EXPORT JobRunPorts {
    JobStore& store;
    Sites& sites;
    RunBackend& parts;  ///< for controller parts
    Engine& engine;     ///< its components see the events of jobs
    /// Unpacks a job's bundle into a folder; the error is for people.
    std::function<tl::expected<void, std::string>(const std::string& job, const std::filesystem::path& into)> unpack;
    /// Puts a folder into an archive; the error is for people.
    std::function<tl::expected<void, std::string>(const std::filesystem::path& folder,
                                                  const std::filesystem::path& archive)>
        archive;
    /// The hub's endpoint and key, and the part's secret; lets the hub know the part.
    std::function<void(PartSetup& setup)> admit;
    /// The hub forgets all parts of the job.
    std::function<void(const std::string& job)> dismiss;
    /// In band: a part is to end its run as aborted. False: it is not there.
    std::function<bool(const std::string& job, const std::string& participant, const std::string& reason)> tell_to_end;
    /// The controller part is to know that a site's part is not there; with `final` it does not come back.
    std::function<void(const std::string& job, const std::string& site, const std::string& why, bool final)>
        tell_site_lost;
    /// A run is over and cleaned up: the job can be deleted now. May be left out; must not block.
    std::function<void(const std::string& job)> over;
    /// argv of the process of a controller part.
    std::vector<std::string> command;
};

/// One job on its way from the scheduler's choice to its final status: deploys, starts, watches, ends, archives and
/// cleans up. Its one thread does one thing after the other; what happens meanwhile is told to it and wakes it.
class RANKEXEC_EXPORT JobRun {
public:
    /// A site and its reservation; of a restored run the token is empty.
    struct Seat {
        std::string site;
        std::string token;
    };
    JobRun(JobRunPorts& ports, const JobRunOptions& options, JobRecord record, JobDefinition definition,
           std::vector<Seat> seats, bool restored);
    JobRun(const JobRun&) = delete;
    JobRun& operator=(const JobRun&) = delete;

    /// All of it, on the calling thread. The job has a final status when it returns, unless detach() was called.
    void run();

    // From any thread:
    /// The status is aborted already; the parts are to end.
    void abort(const std::string& reason);
    /// This process ends and another one will restore the run: run() returns as soon as it can, leaves the status and
    /// the sites' parts as they are.
    void detach();
    void on_controller_part_end(const RunEnd& end);
    /// What the controller part itself has said about its failure.
    void on_report(const std::string& failure);
    void on_site_part_end(const std::string& site, const std::string& kind, const std::string& detail);
    void on_site_connected(const std::string& site);
    void on_site_lost(const std::string& site);

    [[nodiscard]] const std::string& job() const noexcept { return record_.id; }
    struct Participant {
        std::string name;
        std::string state;
        std::string detail;
    };
    [[nodiscard]] std::vector<Participant> participants() const;

private:
    struct SiteEnd {
        std::string kind;
        std::string detail;
    };
    struct Verdict {
        JobStatus status = JobStatus::completed;
        std::string reason;
    };
    using Step = tl::expected<void, Verdict>;

    Step deploy();
    Step deploy_to_sites();
    Step start();
    Step start_controller_part();
    Step start_sites();
    Step restore();
    Step enter(JobStatus to, std::vector<JobStatus> from, std::string reason);
    Verdict watch();
    void finish(const Verdict& verdict);
    void keep(const Verdict& verdict) const;
    [[nodiscard]] std::optional<Verdict> kept_verdict() const;
    [[nodiscard]] tl::expected<void, std::string> record(const Verdict& verdict);
    [[nodiscard]] bool settle(const Verdict& verdict);
    void stop_parts(const std::string& reason, bool done);
    [[nodiscard]] std::optional<std::string> save_workspace();
    [[nodiscard]] Step enough(const std::string& doing);
    void drop(const std::string& site, const std::string& why);
    [[nodiscard]] Verdict verdict_of(const RunEnd& end) const;
    [[nodiscard]] std::optional<Verdict> interrupted();
    [[nodiscard]] std::optional<Verdict> too_few_sites();
    [[nodiscard]] PartSetup setup_for(const std::string& participant) const;
    [[nodiscard]] std::vector<std::string> site_names() const;
    [[nodiscard]] bool takes_part(const std::string& site) const;
    [[nodiscard]] std::filesystem::path workspace() const;
    [[nodiscard]] std::filesystem::path verdict_file() const;
    void say(const std::string& type, const std::string& text);
    void set_state(const std::string& participant, const std::string& state, const std::string& detail = {});

    JobRunPorts& ports_;
    const JobRunOptions options_;
    JobRecord record_;
    const JobDefinition definition_;
    std::vector<Seat> seats_;  ///< of the thread of run() alone
    const bool restored_;
    std::vector<DeployOutcome> deploy_detail_;
    bool controller_started_ = false;
    bool touched_sites_ = false;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<std::string> abort_;
    bool detached_ = false;
    std::optional<RunEnd> controller_end_;
    std::string report_;
    std::map<std::string, SiteEnd> site_ends_;
    std::map<std::string, std::chrono::steady_clock::time_point> away_since_;
    std::map<std::string, Participant> participants_;
    std::vector<std::string> told_;  ///< sites of which something is new
};

}  // namespace rankexec::job
