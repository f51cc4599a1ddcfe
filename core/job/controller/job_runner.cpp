// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/controller/job_runner.hpp"

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "rankexec/core/job/controller/job_event.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec::job {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kVeto = "job_veto";
/// After trouble with the store, which no event tells the end of.
constexpr std::chrono::seconds kTroublePause{1};

}  // namespace

class JobRunner::Impl {
public:
    Impl(JobRunnerOptions options, JobRunPorts ports, std::function<JobDefinition(const JobRecord&)> definition_of)
        : options_(std::move(options)),
          ports_(std::move(ports)),
          definition_of_(std::move(definition_of)),
          scheduler_(
              options_.schedule, ports_.store, ports_.sites,
              {definition_of_, [this](const JobRecord& job, const JobDefinition&) { return before_check(job); }, {}}) {}

    void start() {
        restore();
        thread_ = std::thread([this] { schedule(); });
    }

    void let_go() {
        const std::lock_guard lock(mutex_);
        if (std::exchange(stopped_, true)) return;
        for (const auto& [job, active] : active_) {
            active.run->detach();
            let_go_.push_back(job);
        }
        changed_.notify_all();
    }

    void stop() {
        let_go();
        if (thread_.joinable()) thread_.join();
        std::vector<std::thread> threads;
        std::vector<std::string> jobs;
        {
            const std::lock_guard lock(mutex_);
            // Also those whose runs have come back already: their controller parts go on.
            jobs.swap(let_go_);
            for (auto& [job, active] : active_) threads.push_back(std::move(active.thread));
            for (auto& thread : done_) threads.push_back(std::move(thread));
            done_.clear();
        }
        // They are told of the end of their controller parts for as long as they run.
        for (const auto& job : jobs) ports_.parts.stop(job);
        for (auto& thread : threads) {
            if (thread.joinable()) thread.join();
        }
        const std::lock_guard lock(mutex_);
        active_.clear();
        done_.clear();
    }

    void wake() {
        const std::lock_guard lock(mutex_);
        woken_ = true;
        changed_.notify_all();
    }

    Stored<JobRecord> abort(const std::string& job, const std::string& reason) {
        StatusChange change;
        change.from = {JobStatus::submitted, JobStatus::approved, JobStatus::dispatched, JobStatus::running};
        change.to = JobStatus::aborted;
        change.reason = reason;
        auto changed = ports_.store.change_status(job, change);
        if (!changed) return changed;
        fire_job_event(ports_.engine, ports_.store, job, job_event::kAborted, reason);
        with(job, [&](JobRun& run) { run.abort(reason); });
        wake();
        return changed;
    }

    Stored<void> remove(const std::string& job) {
        {
            const std::lock_guard lock(mutex_);
            if (active_.contains(job)) {
                return tl::unexpected(StoreError{StoreError::Kind::refused,
                                                 "job " + job + " is active, or being cleaned up; abort it, or wait",
                                                 {}});
            }
        }
        return ports_.store.remove(job);
    }

    template <typename Call>
    bool with(const std::string& job, Call&& call) {
        std::shared_ptr<JobRun> run;
        {
            const std::lock_guard lock(mutex_);
            if (const auto found = active_.find(job); found != active_.end()) run = found->second.run;
        }
        if (run) call(*run);
        return run != nullptr;
    }

    template <typename Call>
    void with_all(Call&& call) {
        std::vector<std::shared_ptr<JobRun>> runs;
        {
            const std::lock_guard lock(mutex_);
            for (const auto& [job, active] : active_) runs.push_back(active.run);
        }
        for (const auto& run : runs) call(*run);
    }

    std::vector<std::string> running() const {
        const std::lock_guard lock(mutex_);
        std::vector<std::string> jobs;
        for (const auto& [job, active] : active_) jobs.push_back(job);
        return jobs;
    }

    std::string explain(const JobRecord& job) const { return scheduler_.explain(job); }

private:
    struct Active {
        std::shared_ptr<JobRun> run;
        std::thread thread;
    };

    std::optional<Scheduler::Veto> before_check(const JobRecord& job) {
        auto context = ports_.engine.new_context();
        context.set("job_id", job.id);
        context.set("job_name", job.name);
        ports_.engine.fire_event(job_event::kBeforeCheck, context);
        const auto veto = context.text_or(kVeto, "");
        if (veto.empty()) return std::nullopt;
        return Scheduler::Veto{veto, context.integer_or("job_veto_for_good", 1) != 0};
    }

    /// What a controller has left that was killed between a job's final status and the end of its cleaning up.
    void sweep(const std::vector<JobRecord>& active) const {
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(options_.run.folder, error)) {
            const auto name = entry.path().filename().string();
            const bool kept =
                std::ranges::any_of(active, [&](const JobRecord& job) { return name.starts_with(job.id); });
            if (!kept) std::filesystem::remove_all(entry.path(), error);
        }
    }

    void restore() {
        const auto left = ports_.store.list({JobStatus::dispatched, JobStatus::running});
        if (!left) return log::error("jobs cannot be restored: " + left.error().message);
        sweep(*left);
        for (const auto& record : *left) {
            if (options_.restore == JobRunnerOptions::Restore::restore) {
                if (auto why = restore(record); !why.empty()) give_up(record, JobStatus::abandoned, why);
            } else {
                const bool taken_over = options_.restore == JobRunnerOptions::Restore::take_over;
                give_up(record, taken_over ? JobStatus::abnormal : JobStatus::abandoned,
                        taken_over ? "the controller that ran it has gone, and this one has taken its place"
                                   : "it ran when the controller ended, which was not to restore it");
            }
        }
    }

    std::string restore(const JobRecord& record) {
        try {
            auto definition = definition_of_(record);
            std::vector<JobRun::Seat> seats;
            for (const auto& site : record.sites) seats.push_back({site, {}});
            scheduler_.hold(record.id);
            launch(record, std::move(definition), std::move(seats), true);
            return {};
        } catch (const std::exception& error) {
            scheduler_.release(record.id);
            return std::string("it ran when the controller ended, and cannot be restored: ") + error.what();
        }
    }

    void give_up(const JobRecord& record, JobStatus status, const std::string& why) {
        StatusChange change;
        change.from = {JobStatus::dispatched, JobStatus::running};
        change.to = status;
        change.reason = why;
        if (const auto changed = ports_.store.change_status(record.id, change); !changed) {
            log::error("job " + record.id + ": " + changed.error().message);
        }
        ports_.sites.forget(record.id, record.sites, options_.run.abort_timeout);
        fire_job_event(ports_.engine, ports_.store, record.id, job_event::kAborted, why);
    }

    /// Throws std::system_error when there is no thread for it, and nothing of it is left then.
    void launch(JobRecord record, JobDefinition definition, std::vector<JobRun::Seat> seats, bool restored) {
        const auto job = record.id;
        auto run = std::make_shared<JobRun>(ports_, options_.run, std::move(record), std::move(definition),
                                            std::move(seats), restored);
        const std::lock_guard lock(mutex_);
        auto& active = active_[job];
        active.run = run;
        // Of a pass that was under way when all were let go.
        if (stopped_) {
            run->detach();
            let_go_.push_back(job);
        }
        try {
            active.thread = std::thread([this, run, job] { carry_out(*run, job); });
        } catch (...) {
            active_.erase(job);
            throw;
        }
    }

    /// The thread of one job.
    void carry_out(JobRun& run, const std::string& job) {
        run.run();
        scheduler_.release(job);
        {
            const std::lock_guard lock(mutex_);
            if (const auto found = active_.find(job); found != active_.end()) {
                // Joined by the scheduling thread: no thread joins itself.
                done_.push_back(std::move(found->second.thread));
                active_.erase(found);
            }
            woken_ = true;
            changed_.notify_all();
        }
        if (ports_.over) ports_.over(job);
    }

    void schedule() {
        std::unique_lock lock(mutex_);
        std::optional<Clock::time_point> next = Clock::now();
        while (!stopped_) {
            std::vector<std::thread> done;
            done.swap(done_);
            const bool due = std::exchange(woken_, false) || (next && *next <= Clock::now());
            lock.unlock();
            for (auto& thread : done) thread.join();
            if (due) next = make_pass();
            lock.lock();
            const auto woken = [this] { return stopped_ || woken_ || !done_.empty(); };
            if (next) {
                changed_.wait_until(lock, *next, woken);
            } else {
                changed_.wait(lock, woken);
            }
        }
    }

    std::optional<Clock::time_point> make_pass() {
        auto pass = scheduler_.pass();
        for (auto& job : pass.given_up) {
            fire_job_event(ports_.engine, ports_.store, job.id, job_event::kAborted, job.reason);
        }
        for (auto& placement : pass.placements) {
            std::vector<JobRun::Seat> seats;
            for (const auto& [site, token] : placement.reservations) seats.push_back({site, token});
            try {
                launch(placement.job, *placement.definition, std::move(seats), false);
            } catch (const std::system_error& error) {
                log::error("job " + placement.job.id + " cannot be run now: " + error.what());
                for (const auto& [site, token] : placement.reservations) ports_.sites.cancel(site, token);
                scheduler_.release(placement.job.id);
            }
        }
        if (pass.trouble) {
            log::error("jobs cannot be scheduled: " + pass.trouble->message);
            return Clock::now() + kTroublePause;
        }
        if (!pass.wake_in) return std::nullopt;
        return Clock::now() + *pass.wake_in;
    }

    const JobRunnerOptions options_;
    JobRunPorts ports_;
    const std::function<JobDefinition(const JobRecord&)> definition_of_;
    Scheduler scheduler_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool stopped_ = false;
    std::vector<std::string> let_go_;
    bool woken_ = true;
    std::map<std::string, Active> active_;
    std::vector<std::thread> done_;
    std::thread thread_;
};

JobRunner::JobRunner(JobRunnerOptions options, JobRunPorts ports,
                     std::function<JobDefinition(const JobRecord&)> definition_of)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(ports), std::move(definition_of))) {}
JobRunner::~JobRunner() { impl_->stop(); }

void JobRunner::start() { impl_->start(); }
void JobRunner::let_go() { impl_->let_go(); }
void JobRunner::stop() { impl_->stop(); }
void JobRunner::wake() { impl_->wake(); }
Stored<JobRecord> JobRunner::abort(const std::string& job, const std::string& reason) {
    return impl_->abort(job, reason);
}
Stored<void> JobRunner::remove(const std::string& job) { return impl_->remove(job); }

void JobRunner::on_controller_part_end(const std::string& job, const RunEnd& end) {
    impl_->with(job, [&](JobRun& run) { run.on_controller_part_end(end); });
}
void JobRunner::on_report(const std::string& job, const std::string& failure) {
    impl_->with(job, [&](JobRun& run) { run.on_report(failure); });
}
void JobRunner::on_site_part_end(const std::string& site, const std::string& job, const std::string& kind,
                                 const std::string& detail) {
    impl_->with(job, [&](JobRun& run) { run.on_site_part_end(site, kind, detail); });
}
void JobRunner::on_site_connected(const std::string& site) {
    impl_->with_all([&](JobRun& run) { run.on_site_connected(site); });
    impl_->wake();
}
void JobRunner::on_site_lost(const std::string& site) {
    impl_->with_all([&](JobRun& run) { run.on_site_lost(site); });
}

std::vector<std::string> JobRunner::running() const { return impl_->running(); }
std::vector<JobRun::Participant> JobRunner::participants(const std::string& job) const {
    std::vector<JobRun::Participant> all;
    impl_->with(job, [&](JobRun& run) { all = run.participants(); });
    return all;
}
std::string JobRunner::explain(const JobRecord& job) const { return impl_->explain(job); }

}  // namespace rankexec::job
