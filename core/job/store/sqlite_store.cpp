// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/store/sqlite_store.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <set>
#include <stdexcept>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "rankexec/core/job/store/job_files.hpp"
#include "rankexec/core/job/store/job_tables.hpp"
#include "rankexec/core/job/store/record_changes.hpp"
#include "rankexec/core/job/store/schema.hpp"
#include "rankexec/core/job/store/sqlite.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/core/system/within_a_moment.hpp"

namespace rankexec::job {
namespace {

using sqlite::Database;
using sqlite::JobTables;
using sqlite::Transaction;

const std::vector<JobStatus> kOpen{JobStatus::submitted, JobStatus::approved, JobStatus::dispatched,
                                   JobStatus::running};
const std::vector<JobStatus> kOver{JobStatus::completed, JobStatus::aborted,         JobStatus::execution_exception,
                                   JobStatus::abnormal,  JobStatus::cannot_schedule, JobStatus::failed_to_run,
                                   JobStatus::abandoned};

tl::unexpected<StoreError> unusable(const std::string& message) {
    return tl::unexpected(StoreError{StoreError::Kind::unusable, message, {}});
}

bool among(const std::vector<JobStatus>& statuses, JobStatus status) {
    return std::find(statuses.begin(), statuses.end(), status) != statuses.end();
}

/// What a transaction's commit waits for.
enum class Sync { disk, system };

/// Jobs that are not over are held in memory too, as they are in the database: the scheduler reads them all the time.
class SqliteStore final : public JobStore {
public:
    SqliteStore(StoreOptions options, JobFiles files, UniqueFd lock)
        : options_(std::move(options)),
          files_(std::move(files)),
          lock_(std::move(lock)),
          database_(options_.directory / "jobs.sqlite3"),
          tables_((prepare(database_), database_)),
          open_(tables_.read(kOpen)) {
        std::set<std::string> open_ids;
        for (const auto& [seq, record] : open_) {
            by_id_.emplace(record.id, seq);
            open_ids.insert(record.id);
        }
        const auto all_ids = tables_.all_ids();
        files_.sweep_staged();
        files_.sweep(JobFiles::Kind::bundle, all_ids);
        files_.sweep(JobFiles::Kind::workspace, all_ids);
        files_.sweep(JobFiles::Kind::snapshot, open_ids);
    }

    Stored<JobRecord> create(const NewJob& job, const std::filesystem::path& bundle) override {
        if (auto objection = objection_to(job)) return tl::unexpected(std::move(*objection));
        // A large file is copied without holding up others, so what stands in the way is looked for twice.
        if (auto earlier = guarded([&] { return earlier_than(job); }); !earlier || *earlier) return given(earlier);
        auto staged = files_.stage(bundle, options_.max_bundle_bytes);
        if (!staged) return tl::unexpected(staged.error());
        return guarded([&]() -> Stored<JobRecord> {
            if (auto earlier = earlier_than(job); !earlier || *earlier) return given(earlier);
            const auto record = new_record(job, staged->size(), options_.clock());
            std::int64_t seq = 0;
            try {
                // The file comes first: a job in the table has its bundle.
                const auto kept = files_.publish(std::move(*staged), record.id, JobFiles::Kind::bundle);
                if (!kept) throw std::runtime_error(kept.error().message);
                write(Sync::disk, [&] { seq = tables_.insert(record); });
            } catch (...) {
                files_.remove_all_of(record.id);
                throw;
            }
            remember(seq, record);
            return record;
        });
    }

    Stored<JobRecord> get(const std::string& id) const override {
        return guarded([&]() -> Stored<JobRecord> {
            const auto job = find(id);
            if (!job) return unknown_job(id);
            return job->record;
        });
    }

    Stored<std::vector<JobRecord>> list(const std::vector<JobStatus>& statuses) const override {
        return guarded([&]() -> Stored<std::vector<JobRecord>> {
            std::vector<JobStatus> over;
            std::copy_if(statuses.begin(), statuses.end(), std::back_inserter(over), is_final);
            JobTables::Records found;
            if (statuses.empty() || !over.empty()) found = tables_.read(statuses.empty() ? kOver : over);
            for (const auto& [seq, record] : open_) {
                if (statuses.empty() || among(statuses, record.status)) found.emplace(seq, record);
            }
            std::vector<JobRecord> records;
            records.reserve(found.size());
            for (auto& [seq, record] : found) records.push_back(std::move(record));
            return records;
        });
    }

    Stored<JobRecord> change_status(const std::string& id, const StatusChange& change) override {
        return guarded([&]() -> Stored<JobRecord> {
            const auto job = find(id);
            if (!job) return unknown_job(id);
            auto next = changed(job->record, change, options_.clock());
            if (!next) return next;
            write(Sync::disk, [&] {
                if (!tables_.update(job->seq, job->record.version, *next)) {
                    throw sqlite::Error("job " + id + " was changed by another program");
                }
                if (change.deploy_detail) tables_.put_deployments(job->seq, next->deploy_detail);
                if (change.sites) tables_.put_sites(job->seq, next->sites);
            });
            remember(job->seq, *next);
            if (is_final(next->status)) files_.remove(id, JobFiles::Kind::snapshot);
            return next;
        });
    }

    Stored<void> add_attempt(const std::string& id, const ScheduleAttempt& attempt) override {
        return change_open(id, "attempt", Sync::system, [&](std::int64_t seq, JobRecord& record) {
            count_attempt(record, attempt);
            tables_.count_attempt(seq, record);
        });
    }

    Stored<void> set_reason(const std::string& id, const std::string& reason) override {
        return change_open(id, "other reason", Sync::system, [&](std::int64_t seq, JobRecord& record) {
            auto kept = shortened(reason);
            if (record.reason == kept) return;
            record.reason = std::move(kept);
            tables_.set_reason(seq, record.reason);
        });
    }

    Stored<int> next_incarnation(const std::string& id) override {
        int number = 0;
        return change_open(id, "other run", Sync::disk,
                           [&](std::int64_t seq, JobRecord& record) {
                               number = ++record.incarnation;
                               tables_.set_incarnation(seq, number);
                           })
            .map([&] { return number; });
    }

    Stored<void> add_event(const std::string& id, const JobEvent& event) override {
        return guarded([&]() -> Stored<void> {
            const auto seq = seq_of(id);
            if (!seq) return unknown_job(id);
            write(Sync::system, [&] { tables_.add_event(*seq, shortened(event)); });
            return {};
        });
    }

    Stored<std::vector<JobEvent>> events(const std::string& id) const override {
        return guarded([&]() -> Stored<std::vector<JobEvent>> {
            const auto seq = seq_of(id);
            if (!seq) return unknown_job(id);
            return tables_.events(*seq);
        });
    }

    Stored<void> save_snapshot(const std::string& id, const Bytes& snapshot) override {
        if (auto known = existing(id); !known) return known;
        return publish(files_.stage(snapshot), id, JobFiles::Kind::snapshot);
    }

    Stored<std::optional<Bytes>> snapshot(const std::string& id) const override {
        return guarded([&]() -> Stored<std::optional<Bytes>> {
            if (!seq_of(id)) return unknown_job(id);
            return files_.read(id, JobFiles::Kind::snapshot);
        });
    }

    Stored<std::filesystem::path> bundle(const std::string& id) const override {
        return file(id, JobFiles::Kind::bundle, "bundle");
    }

    Stored<void> save_workspace(const std::string& id, const std::filesystem::path& archive) override {
        if (auto known = existing(id); !known) return known;
        return publish(files_.stage(archive, JobFiles::kAnySize), id, JobFiles::Kind::workspace);
    }

    Stored<std::filesystem::path> workspace(const std::string& id) const override {
        return file(id, JobFiles::Kind::workspace, "archived workspace");
    }

    Stored<void> remove(const std::string& id) override {
        return guarded([&]() -> Stored<void> {
            const auto job = find(id);
            if (!job) return unknown_job(id);
            if (is_active(job->record.status)) return still_active(job->record);
            write(Sync::disk, [&] { tables_.remove(job->seq); });
            forget(job->seq, id);
            // The job is gone: what is left of its files now is swept when the store is opened again.
            files_.remove_all_of(id);
            return {};
        });
    }

private:
    struct Found {
        std::int64_t seq;
        JobRecord record;
    };

    static void prepare(Database& database) {
        // STRICT tables refuse what is of another type, but only foreign keys that are on are kept.
        database.execute("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864");
        if (database.single_integer("SELECT count(*) FROM pragma_quick_check(1) WHERE quick_check <> 'ok'") != 0) {
            throw sqlite::Error("the database of jobs is damaged; restore it from a copy");
        }
        prepare_schema(database);
    }

    /// Under the lock, with errors of the database as what the function returns.
    template <typename Work>
    auto guarded(Work&& work) const -> decltype(work()) {
        const std::scoped_lock lock(mutex_);
        try {
            return work();
        } catch (const std::exception& error) {
            return unusable(error.what());
        }
    }

    template <typename Work>
    void write(Sync sync, Work&& work) {
        if (sync != sync_) {
            database_.execute(sync == Sync::disk ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
            sync_ = sync;
        }
        Transaction transaction(database_);
        work();
        transaction.commit();
    }

    /// What is in memory changes only when the database has.
    template <typename Work>
    Stored<void> change_open(const std::string& id, const std::string& what, Sync sync, Work&& work) {
        return guarded([&]() -> Stored<void> {
            auto job = find(id);
            if (!job) return unknown_job(id);
            if (is_final(job->record.status)) return over_already(job->record, what);
            write(sync, [&] { work(job->seq, job->record); });
            open_.at(job->seq) = std::move(job->record);
            return {};
        });
    }

    std::optional<std::int64_t> seq_of(const std::string& id) const {
        const auto found = by_id_.find(id);
        return found == by_id_.end() ? tables_.seq_of(id) : found->second;
    }

    std::optional<Found> find(const std::string& id) const {
        const auto seq = seq_of(id);
        if (!seq) return std::nullopt;
        const auto found = open_.find(*seq);
        return Found{*seq, found == open_.end() ? tables_.read_one(*seq) : found->second};
    }

    void remember(std::int64_t seq, const JobRecord& record) {
        if (is_final(record.status)) return forget(seq, record.id);
        open_.insert_or_assign(seq, record);
        by_id_.insert_or_assign(record.id, seq);
    }

    void forget(std::int64_t seq, const std::string& id) {
        open_.erase(seq);
        by_id_.erase(id);
    }

    /// The job that has the token already; nothing: none has. An error: the id is taken.
    Stored<std::optional<JobRecord>> earlier_than(const NewJob& job) const {
        if (const auto id = tables_.id_with_token(job.submitter, job.token)) return find(*id)->record;
        if (!job.id.empty() && seq_of(job.id)) return exists_already(job.id);
        return std::nullopt;
    }
    static Stored<JobRecord> given(const Stored<std::optional<JobRecord>>& earlier) {
        if (!earlier) return tl::unexpected(earlier.error());
        return **earlier;
    }

    /// Before a file is copied for nothing; publish() looks again.
    Stored<void> existing(const std::string& id) const {
        return guarded([&]() -> Stored<void> {
            if (!seq_of(id)) return unknown_job(id);
            return {};
        });
    }

    Stored<void> publish(Stored<JobFiles::Staged> staged, const std::string& id, JobFiles::Kind kind) {
        if (!staged) return tl::unexpected(staged.error());
        return guarded([&]() -> Stored<void> {
            const auto job = find(id);
            if (!job) return unknown_job(id);
            if (kind == JobFiles::Kind::snapshot && is_final(job->record.status)) {
                return over_already(job->record, "snapshot");
            }
            return files_.publish(std::move(*staged), id, kind);
        });
    }

    Stored<std::filesystem::path> file(const std::string& id, JobFiles::Kind kind, const std::string& which) const {
        return guarded([&]() -> Stored<std::filesystem::path> {
            const auto job = find(id);
            if (!job) return unknown_job(id);
            if (!files_.exists(id, kind)) return file_missing(job->record, which);
            return files_.path(id, kind);
        });
    }

    const StoreOptions options_;
    const JobFiles files_;
    const UniqueFd lock_;
    mutable std::mutex mutex_;
    Database database_;
    mutable JobTables tables_;
    std::optional<Sync> sync_;
    JobTables::Records open_;
    std::unordered_map<std::string, std::int64_t> by_id_;  // of those that are open
};

}  // namespace

Stored<std::unique_ptr<JobStore>> open_sqlite_store(StoreOptions options) {
    JobFiles files(options.directory);
    if (!files.error().empty()) return unusable(files.error());
    const auto path = options.directory / "lock";
    // Not for programs that this process starts: they would hold the lock beyond its end.
    UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock.valid()) return unusable("cannot open " + path.string() + ": " + std::generic_category().message(errno));
    if (!within_a_moment([&] { return ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0; })) {
        return unusable("the store in " + options.directory.string() +
                        " is open in another process; end that first, or use another directory");
    }
    try {
        return std::make_unique<SqliteStore>(std::move(options), std::move(files), std::move(lock));
    } catch (const std::exception& error) {
        return unusable(error.what());
    }
}

}  // namespace rankexec::job
