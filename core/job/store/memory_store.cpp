// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/store/memory_store.hpp"

#include <algorithm>
#include <list>
#include <mutex>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "rankexec/core/job/store/job_files.hpp"
#include "rankexec/core/job/store/record_changes.hpp"

namespace rankexec::job {
namespace {

class MemoryStore final : public JobStore {
public:
    explicit MemoryStore(StoreOptions options) : options_(std::move(options)), files_(options_.directory) {
        if (!files_.error().empty()) throw std::runtime_error(files_.error());
        files_.sweep_staged();
        for (const auto kind : JobFiles::kKinds) files_.sweep(kind, {});
    }

    Stored<JobRecord> create(const NewJob& job, const std::filesystem::path& bundle) override {
        if (auto objection = objection_to(job)) return tl::unexpected(std::move(*objection));
        const std::scoped_lock lock(mutex_);
        if (const auto* earlier = with_token(job)) return *earlier;
        if (find(job.id) != nullptr) return exists_already(job.id);
        auto staged = files_.stage(bundle, options_.max_bundle_bytes);
        if (!staged) return tl::unexpected(staged.error());
        const auto record = new_record(job, staged->size(), options_.clock());
        const auto published = files_.publish(std::move(*staged), record.id, JobFiles::Kind::bundle);
        if (!published) return tl::unexpected(published.error());
        jobs_.push_back({record, {}});
        by_id_.emplace(record.id, &jobs_.back());
        return record;
    }

    Stored<JobRecord> get(const std::string& id) const override {
        const std::scoped_lock lock(mutex_);
        const auto* job = find(id);
        if (job == nullptr) return unknown_job(id);
        return job->record;
    }

    Stored<std::vector<JobRecord>> list(const std::vector<JobStatus>& statuses) const override {
        const std::scoped_lock lock(mutex_);
        std::vector<JobRecord> records;
        for (const auto& job : jobs_) {
            const auto status = job.record.status;
            const bool wanted =
                statuses.empty() || std::find(statuses.begin(), statuses.end(), status) != statuses.end();
            if (wanted) records.push_back(job.record);
        }
        return records;
    }

    Stored<JobRecord> change_status(const std::string& id, const StatusChange& change) override {
        const std::scoped_lock lock(mutex_);
        auto* job = find(id);
        if (job == nullptr) return unknown_job(id);
        auto next = changed(job->record, change, options_.clock());
        if (!next) return next;
        job->record = *next;
        if (is_final(next->status)) files_.remove(id, JobFiles::Kind::snapshot);
        return next;
    }

    Stored<void> add_attempt(const std::string& id, const ScheduleAttempt& attempt) override {
        return change(id, "attempt", [&](JobRecord& record) { count_attempt(record, attempt); });
    }

    Stored<void> set_reason(const std::string& id, const std::string& reason) override {
        return change(id, "other reason", [&](JobRecord& record) { record.reason = shortened(reason); });
    }

    Stored<int> next_incarnation(const std::string& id) override {
        int number = 0;
        return change(id, "other run", [&](JobRecord& record) { number = ++record.incarnation; }).map([&] {
            return number;
        });
    }

    Stored<void> add_event(const std::string& id, const JobEvent& event) override {
        const std::scoped_lock lock(mutex_);
        auto* job = find(id);
        if (job == nullptr) return unknown_job(id);
        auto& events = job->events;
        events.push_back(shortened(event));
        const auto same = [&](const JobEvent& other) { return other.type == events.back().type; };
        if (std::count_if(events.begin(), events.end(), same) > kMostEventsOfAType) {
            events.erase(std::find_if(events.begin(), events.end(), same));
        }
        return {};
    }

    Stored<std::vector<JobEvent>> events(const std::string& id) const override {
        const std::scoped_lock lock(mutex_);
        const auto* job = find(id);
        if (job == nullptr) return unknown_job(id);
        return job->events;
    }

    Stored<void> save_snapshot(const std::string& id, const Bytes& snapshot) override {
        const std::scoped_lock lock(mutex_);
        const auto* job = find(id);
        if (job == nullptr) return unknown_job(id);
        if (is_final(job->record.status)) return over_already(job->record, "snapshot");
        return files_.stage(snapshot).and_then(
            [&](JobFiles::Staged&& staged) { return files_.publish(std::move(staged), id, JobFiles::Kind::snapshot); });
    }

    Stored<std::optional<Bytes>> snapshot(const std::string& id) const override {
        const std::scoped_lock lock(mutex_);
        if (find(id) == nullptr) return unknown_job(id);
        return files_.read(id, JobFiles::Kind::snapshot);
    }

    Stored<std::filesystem::path> bundle(const std::string& id) const override {
        return file(id, JobFiles::Kind::bundle, "bundle");
    }

    Stored<void> save_workspace(const std::string& id, const std::filesystem::path& archive) override {
        const std::scoped_lock lock(mutex_);
        if (find(id) == nullptr) return unknown_job(id);
        return files_.stage(archive, JobFiles::kAnySize).and_then([&](JobFiles::Staged&& staged) {
            return files_.publish(std::move(staged), id, JobFiles::Kind::workspace);
        });
    }

    Stored<std::filesystem::path> workspace(const std::string& id) const override {
        return file(id, JobFiles::Kind::workspace, "archived workspace");
    }

    Stored<void> remove(const std::string& id) override {
        const std::scoped_lock lock(mutex_);
        const auto* job = find(id);
        if (job == nullptr) return unknown_job(id);
        if (is_active(job->record.status)) return still_active(job->record);
        files_.remove_all_of(id);
        by_id_.erase(id);
        jobs_.remove_if([&](const Job& other) { return &other == job; });
        return {};
    }

private:
    struct Job {
        JobRecord record;
        std::vector<JobEvent> events;
    };

    Job* find(const std::string& id) const {
        const auto found = by_id_.find(id);
        return found == by_id_.end() ? nullptr : found->second;
    }

    const JobRecord* with_token(const NewJob& wanted) const {
        if (wanted.token.empty()) return nullptr;
        for (const auto& [record, events] : jobs_) {
            if (record.token == wanted.token && record.submitter == wanted.submitter) return &record;
        }
        return nullptr;
    }

    /// Only for jobs without a final status.
    template <typename Change>
    Stored<void> change(const std::string& id, const std::string& what, Change&& make) {
        const std::scoped_lock lock(mutex_);
        auto* job = find(id);
        if (job == nullptr) return unknown_job(id);
        if (is_final(job->record.status)) return over_already(job->record, what);
        make(job->record);
        return {};
    }

    Stored<std::filesystem::path> file(const std::string& id, JobFiles::Kind kind, const std::string& which) const {
        const std::scoped_lock lock(mutex_);
        const auto* job = find(id);
        if (job == nullptr) return unknown_job(id);
        if (!files_.exists(id, kind)) return file_missing(job->record, which);
        return files_.path(id, kind);
    }

    const StoreOptions options_;
    const JobFiles files_;
    mutable std::mutex mutex_;
    std::list<Job> jobs_;  // oldest first
    std::unordered_map<std::string, Job*> by_id_;
};

}  // namespace

std::unique_ptr<JobStore> make_memory_store(StoreOptions options) {
    return std::make_unique<MemoryStore>(std::move(options));
}

}  // namespace rankexec::job
