// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/backend/slurm_backend.hpp"

#include <fcntl.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/backend/run_log.hpp"
#include "rankexec/core/job/backend/slurm_commands.hpp"
#include "rankexec/core/job/backend/slurm_run_files.hpp"
#include "rankexec/core/job/backend/slurm_verdict.hpp"
#include "rankexec/core/job/backend/started_tokens.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/pipe/folder_watch.hpp"

namespace rankexec::job {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{250};
/// What a script has reported is believed without Slurm after this long an outage.
constexpr milliseconds kReportAlone{30'000};
/// So many names are in one squeue.
constexpr std::size_t kNamesAtOnce = 500;

tl::unexpected<Failure> refused(const RunSpec& spec, const std::string& why) {
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = "the part of job " + spec.job + " for " + spec.participant + " is not started in Slurm: " + why;
    return tl::unexpected(std::move(failure));
}

void check(const SlurmBackendOptions& options) {
    const bool good = options.command_timeout.count() > 0 && options.longest_pause.count() > 0 &&
                      options.lost_after.count() >= 0 && options.file_system_lag.count() >= 0;
    if (!good) {
        throw ConfigurationError(ConfigurationError::Kind::option,
                                 "slurm backend: command_timeout and longest_pause must be more than nothing, "
                                 "lost_after and file_system_lag not negative");
    }
}

std::vector<std::string> arguments_for(const ResourceNeed& need, const std::vector<std::string>& further) {
    std::vector<std::string> arguments;
    if (need.cores > 0) arguments.push_back("--cpus-per-task=" + std::to_string(need.cores));
    if (need.memory_mib > 0) arguments.push_back("--mem=" + std::to_string(need.memory_mib) + "M");
    if (need.gpus > 0) arguments.push_back("--gres=gpu:" + std::to_string(need.gpus));
    arguments.insert(arguments.end(), further.begin(), further.end());
    return arguments;
}

struct Run {
    Run(std::string job_id, std::string run_token, const std::filesystem::path& directory)
        : job(std::move(job_id)), token(std::move(run_token)), name(slurm_job_name(token)), files(directory, name) {}

    const std::string job;
    const std::string token;
    const std::string name;
    const SlurmRunFiles files;
    std::unique_ptr<pipe::FolderWatch> watch;
    bool stopping = false;  ///< under the backend's lock

    // Of the looking thread.
    bool cancelled = false;
    std::optional<Clock::time_point> over_since;     ///< Slurm's word; the report may be on its way
    std::optional<Clock::time_point> unknown_since;  ///< Slurm answers, and does not know it
    std::optional<Clock::time_point> silent_since;   ///< Slurm does not answer, and the report is there
};

/// Whether that is true, and has been for so long.
bool lasts(std::optional<Clock::time_point>& since, bool now_true, milliseconds time) {
    if (!now_true) {
        since.reset();
        return false;
    }
    const auto now = Clock::now();
    if (!since) since = now;
    return now - *since >= time;
}

}  // namespace

std::string slurm_job_name(const std::string& token) { return "rankexec-" + token; }

class SlurmBackend::Impl {
public:
    explicit Impl(SlurmBackendOptions options)
        : options_(std::move(options)), commands_(options_.program_directory, options_.command_timeout) {
        check(options_);
    }

    ~Impl() {
        {
            const std::lock_guard lock(mutex_);
            closing_ = true;
        }
        changed_.notify_all();
        if (thread_.joinable()) thread_.join();
    }

    void on_end(OnEnd callback) {
        const std::lock_guard lock(mutex_);
        on_end_ = std::make_shared<const OnEnd>(std::move(callback));
    }

    tl::expected<void, Failure> start(const RunSpec& spec) {
        const std::lock_guard one_at_a_time(starting_);
        {
            const std::lock_guard lock(mutex_);
            if (started_.contains(spec.token)) return {};
            if (runs_.contains(spec.job)) return refused(spec, "another run of it is under way here");
        }
        const auto run = std::make_shared<Run>(spec.job, spec.token, spec.directory);
        auto there = known_before(*run, spec);
        if (!there) return tl::unexpected(std::move(there.error()));
        if (!*there) {
            if (auto submitted = submit(*run, spec); !submitted) return submitted;
        }
        look_after(run);
        return {};
    }

    bool adopt(const RunSpec& spec) {
        const std::lock_guard one_at_a_time(starting_);
        {
            const std::lock_guard lock(mutex_);
            const auto found = runs_.find(spec.job);
            if (found != runs_.end()) return found->second->token == spec.token;
        }
        const auto run = std::make_shared<Run>(spec.job, spec.token, spec.directory);
        const auto claim = run->files.claim();
        if (claim == SlurmRunFiles::kRevoked) return false;
        if (!claim) {
            const auto jobs = commands_.queued({run->name});
            if (jobs && jobs->empty()) return false;
        }
        look_after(run);
        return true;
    }

    void stop(const std::string& job) {
        {
            const std::lock_guard lock(mutex_);
            const auto found = runs_.find(job);
            if (found == runs_.end()) return;
            found->second->stopping = true;
        }
        wake();
    }

    [[nodiscard]] bool runs(const std::string& job) const {
        const std::lock_guard lock(mutex_);
        return runs_.contains(job);
    }

private:
    using Runs = std::vector<std::shared_ptr<Run>>;

    // ---- starting ---------------------------------------------------------------------------------

    /// Whether an earlier process of this site has submitted it. Fails when nobody can tell, or it was given up.
    [[nodiscard]] tl::expected<bool, Failure> known_before(const Run& run, const RunSpec& spec) const {
        const auto claim = run.files.claim();
        if (claim == SlurmRunFiles::kRevoked) return refused(spec, "this start was given up before; start it anew");
        if (claim) return true;
        const auto jobs = commands_.queued({run.name});
        if (!jobs) return refused(spec, "Slurm does not answer: " + jobs.error().message);
        return !jobs->empty();
    }

    [[nodiscard]] tl::expected<void, Failure> submit(const Run& run, const RunSpec& spec) const {
        // Slurm's nodes would create it with whatever mode they find right.
        if (auto log = RunLog::open(spec.log); !log) return refused(spec, log.error().message);
        if (auto prepared = run.files.prepare(spec); !prepared) return refused(spec, prepared.error().message);
        SlurmCommands::Submission submission;
        submission.name = run.name;
        submission.comment = "rankexec job " + spec.job + ", " + spec.participant;
        submission.directory = spec.directory;
        submission.log = spec.log;
        submission.arguments = arguments_for(spec.need, options_.sbatch_arguments);
        submission.script = run.files.script(spec);
        const auto submitted = commands_.submit(submission);
        if (submitted) return {};
        // The answer may have been lost, and not the job.
        const auto jobs = commands_.queued({run.name});
        if (jobs && !jobs->empty()) return {};
        // One that comes later finds nothing to do; one that was faster runs.
        if (!run.files.revoke()) return {};
        return refused(spec, submitted.error().message);
    }

    void look_after(const std::shared_ptr<Run>& run) {
        const UniqueFd folder(::open(run->files.folder().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (folder.valid()) {
            run->watch = std::make_unique<pipe::FolderWatch>(std::vector<int>{folder.get()}, [this, raw = run.get()] {
                if (raw->files.exit()) wake();
            });
        }
        {
            const std::lock_guard lock(mutex_);
            started_.add(run->token);
            runs_.insert_or_assign(run->job, run);
            if (!thread_.joinable()) thread_ = std::thread([this] { look(); });
        }
        wake();
    }

    void wake() {
        {
            const std::lock_guard lock(mutex_);
            woken_ = true;
        }
        changed_.notify_all();
    }

    // ---- the looking thread -----------------------------------------------------------------------

    void look() {
        auto pause = kFirstPause;
        for (Runs runs = wait(pause); !runs.empty(); runs = wait(pause)) {
            cancel_the_stopped(runs);
            look_at(runs);
        }
    }

    /// Until it is time to look again; empty: for ever.
    [[nodiscard]] Runs wait(milliseconds& pause) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return closing_ || !runs_.empty(); });
        const bool woken = changed_.wait_for(lock, pause, [this] { return closing_ || woken_; });
        if (closing_) return {};
        pause = woken ? kFirstPause : std::min(pause * 2, options_.longest_pause);
        woken_ = false;
        Runs runs;
        for (const auto& [job, run] : runs_) runs.push_back(run);
        return runs;
    }

    [[nodiscard]] bool is_stopping(const Run& run) const {
        const std::lock_guard lock(mutex_);
        return run.stopping;
    }

    void cancel_the_stopped(const Runs& runs) const {
        for (const auto& run : runs) {
            if (run->cancelled || !is_stopping(*run)) continue;
            (void)run->files.revoke();
            const auto done = commands_.cancel(run->name);
            run->cancelled = done.has_value();
            if (!done) log::warning("job " + run->job + " is not stopped yet: " + done.error().message);
        }
    }

    void look_at(const Runs& runs) {
        for (std::size_t first = 0; first < runs.size(); first += kNamesAtOnce) {
            const auto count = std::min(kNamesAtOnce, runs.size() - first);
            const Runs some(runs.begin() + static_cast<std::ptrdiff_t>(first),
                            runs.begin() + static_cast<std::ptrdiff_t>(first + count));
            std::vector<std::string> names;
            for (const auto& run : some) names.push_back(run->name);
            const auto jobs = commands_.queued(names);
            note_outage(jobs ? "" : jobs.error().message);
            for (const auto& run : some) {
                if (auto end = end_of(*run, jobs)) tell(run, *end);
            }
        }
    }

    void note_outage(const std::string& why) {
        if (why.empty() == !outage_) return;
        outage_ = !why.empty();
        log::warning(outage_ ? "Slurm does not answer; its jobs are left as they are: " + why : "Slurm answers again");
    }

    [[nodiscard]] std::optional<RunEnd> end_of(Run& run, const tl::expected<std::vector<SlurmJob>, Failure>& queued) {
        SlurmEvidence evidence;
        evidence.stopping = is_stopping(run);
        evidence.exit = run.files.exit();
        evidence.claim = run.files.claim();
        evidence.revoked = evidence.claim == SlurmRunFiles::kRevoked;
        if (evidence.revoked) evidence.claim.reset();
        if (queued) {
            evidence.jobs.emplace();
            std::ranges::copy_if(*queued, std::back_inserter(*evidence.jobs),
                                 [&](const SlurmJob& job) { return job.name == run.name; });
        }
        if (lasts(run.silent_since, evidence.exit && !queued, std::min(kReportAlone, options_.lost_after))) {
            evidence.jobs.emplace();
        }
        if (queued && !job_of_run(evidence) && !evidence.exit) {
            // An accounting that fails knows nothing; it does not say that there was no such run.
            if (auto jobs = commands_.accounted(run.name)) {
                evidence.jobs->insert(evidence.jobs->end(), jobs->begin(), jobs->end());
            }
        }
        auto verdict = slurm_verdict(evidence);
        if (!lasts(run.over_since, verdict && !evidence.exit, options_.file_system_lag)) {
            if (verdict && !evidence.exit) verdict.reset();
        }
        if (verdict || !lasts(run.unknown_since, queued && !job_of_run(evidence), options_.lost_after)) return verdict;
        return lost(run);
    }

    [[nodiscard]] static RunEnd lost(const Run& run) {
        (void)run.files.revoke();
        RunEnd end;
        end.kind = RunEnd::Kind::backend_failed;
        end.detail = "Slurm does not know its job " + run.name + ", and nothing says how it ended";
        return end;
    }

    void tell(const std::shared_ptr<Run>& run, const RunEnd& end) {
        run->watch.reset();
        run->files.remove_environment();
        std::shared_ptr<const OnEnd> tell;
        {
            const std::lock_guard lock(mutex_);
            runs_.erase(run->job);
            if (!closing_) tell = on_end_;
        }
        if (tell && *tell) (*tell)(run->job, end);
    }

    const SlurmBackendOptions options_;
    const SlurmCommands commands_;
    std::mutex starting_;  ///< one start at a time: whoever starts the same again learns how the first went
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool closing_ = false;
    bool outage_ = false;  ///< of the looking thread
    bool woken_ = false;   ///< something may have happened
    std::shared_ptr<const OnEnd> on_end_;
    StartedTokens started_;
    std::map<std::string, std::shared_ptr<Run>> runs_;  ///< by job
    std::thread thread_;
};

SlurmBackend::SlurmBackend(SlurmBackendOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
SlurmBackend::~SlurmBackend() = default;

void SlurmBackend::on_end(OnEnd callback) { impl_->on_end(std::move(callback)); }
tl::expected<void, Failure> SlurmBackend::start(const RunSpec& spec) { return impl_->start(spec); }
bool SlurmBackend::adopt(const RunSpec& spec) { return impl_->adopt(spec); }
void SlurmBackend::stop(const std::string& job) { impl_->stop(job); }
bool SlurmBackend::runs(const std::string& job) const { return impl_->runs(job); }
std::string SlurmBackend::name() const { return "slurm"; }

}  // namespace rankexec::job
