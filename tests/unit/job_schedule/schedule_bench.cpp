// SPDX-License-Identifier: Apache-2.0
#include "unit/job_schedule/schedule_bench.hpp"

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/store/memory_store.hpp"

namespace rankexec::job::test {
namespace {

/// Passes everything on, but for list() while it shall fail.
class FailingStore final : public JobStore {
public:
    FailingStore(std::unique_ptr<JobStore> store, const bool& fail) : store_(std::move(store)), fail_(fail) {}

    Stored<JobRecord> create(const NewJob& job, const std::filesystem::path& bundle) override {
        return store_->create(job, bundle);
    }
    Stored<JobRecord> get(const std::string& id) const override { return store_->get(id); }
    Stored<std::vector<JobRecord>> list(const std::vector<JobStatus>& statuses) const override {
        if (fail_) return tl::unexpected(StoreError{StoreError::Kind::unusable, "the disk is full", {}});
        return store_->list(statuses);
    }
    Stored<JobRecord> change_status(const std::string& id, const StatusChange& change) override {
        return store_->change_status(id, change);
    }
    Stored<void> add_attempt(const std::string& id, const ScheduleAttempt& attempt) override {
        return store_->add_attempt(id, attempt);
    }
    Stored<void> set_reason(const std::string& id, const std::string& reason) override {
        return store_->set_reason(id, reason);
    }
    Stored<int> next_incarnation(const std::string& id) override { return store_->next_incarnation(id); }
    Stored<void> add_event(const std::string& id, const JobEvent& event) override {
        return store_->add_event(id, event);
    }
    Stored<std::vector<JobEvent>> events(const std::string& id) const override { return store_->events(id); }
    Stored<void> save_snapshot(const std::string& id, const Bytes& snapshot) override {
        return store_->save_snapshot(id, snapshot);
    }
    Stored<std::optional<Bytes>> snapshot(const std::string& id) const override { return store_->snapshot(id); }
    Stored<std::filesystem::path> bundle(const std::string& id) const override { return store_->bundle(id); }
    Stored<void> save_workspace(const std::string& id, const std::filesystem::path& archive) override {
        return store_->save_workspace(id, archive);
    }
    Stored<std::filesystem::path> workspace(const std::string& id) const override { return store_->workspace(id); }
    Stored<void> remove(const std::string& id) override { return store_->remove(id); }

private:
    std::unique_ptr<JobStore> store_;
    const bool& fail_;
};

}  // namespace

ScheduleBench::ScheduleBench() {
    auto name = (std::filesystem::temp_directory_path() / "rankexec-schedule-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
    StoreOptions settings;
    settings.directory = folder_ / "store";
    settings.clock = [this] { return now; };
    store = std::make_unique<FailingStore>(make_memory_store(settings), fail_store);
}

ScheduleBench::~ScheduleBench() {
    scheduler_.reset();
    store.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

Scheduler::Hooks ScheduleBench::hooks() {
    Scheduler::Hooks hooks;
    hooks.definition_of = [this](const JobRecord& job) {
        ++definitions_read;
        if (unreadable) throw std::runtime_error("disk on fire");
        if (malformed.contains(job.name)) {
            throw ConfigurationError(ConfigurationError::Kind::job_file, "malformed in job.toml, line 1");
        }
        return definitions_.at(job.id);
    };
    hooks.before_check = [this](const JobRecord& job, const JobDefinition& read) {
        return veto ? veto(job, read) : std::nullopt;
    };
    hooks.clock = [this] { return now; };
    return hooks;
}

Scheduler& ScheduleBench::scheduler() {
    if (!scheduler_) scheduler_ = std::make_unique<Scheduler>(options, *store, pool, hooks());
    return *scheduler_;
}

void ScheduleBench::restart() {
    scheduler_.reset();
    pool.reserved.clear();
}

JobDefinition ScheduleBench::definition() {
    JobDefinition job;
    job.name = "job";
    job.parts.push_back({"all", {std::string(kAllSites)}, {}});
    job.workflow.type = "fed_avg";
    return job;
}

JobDefinition ScheduleBench::gpus(int count) {
    auto job = definition();
    job.parts[0].need.gpus = count;
    return job;
}

void ScheduleBench::submit(const std::string& name, const JobDefinition& job) {
    const auto bundle = folder_ / "bundle";
    std::ofstream(bundle) << name;
    JobStore::NewJob wanted;
    wanted.name = name;
    auto created = store->create(wanted, bundle);
    ASSERT_TRUE(created) << created.error().message;
    ids_[name] = created->id;
    definitions_[created->id] = job;
}

JobRecord ScheduleBench::record(const std::string& name) const {
    auto found = store->get(id(name));
    EXPECT_TRUE(found);
    return found.value_or(JobRecord{});
}

void ScheduleBench::run(const std::string& name) {
    for (const auto& [from, to] : {std::pair(JobStatus::submitted, JobStatus::dispatched),
                                   std::pair(JobStatus::dispatched, JobStatus::running)}) {
        StatusChange change;
        change.from = {from};
        change.to = to;
        ASSERT_TRUE(store->change_status(id(name), change));
    }
}

void ScheduleBench::end(const std::string& name) {
    StatusChange abort;
    abort.from = {JobStatus::submitted, JobStatus::dispatched, JobStatus::running};
    abort.to = JobStatus::aborted;
    ASSERT_TRUE(store->change_status(id(name), abort));
    scheduler().release(id(name));
}

}  // namespace rankexec::job::test
