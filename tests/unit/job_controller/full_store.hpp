// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "rankexec/core/job/store/job_store.hpp"

namespace rankexec::job::test {

/// A store on a disk that is full when the test says so: it can be read then.
class FullStore final : public JobStore {
public:
    explicit FullStore(std::unique_ptr<JobStore> store) : store_(std::move(store)) {}
    std::atomic<bool> full = false;
    std::atomic<int> refusals = 0;

    Stored<JobRecord> create(const NewJob& job, const std::filesystem::path& bundle) override {
        if (full) return none();
        return store_->create(job, bundle);
    }
    Stored<JobRecord> get(const std::string& id) const override { return store_->get(id); }
    Stored<std::vector<JobRecord>> list(const std::vector<JobStatus>& statuses = {}) const override {
        return store_->list(statuses);
    }
    Stored<JobRecord> change_status(const std::string& id, const StatusChange& change) override {
        if (full) return none();
        return store_->change_status(id, change);
    }
    Stored<void> add_attempt(const std::string& id, const ScheduleAttempt& attempt) override {
        if (full) return none();
        return store_->add_attempt(id, attempt);
    }
    Stored<void> set_reason(const std::string& id, const std::string& reason) override {
        if (full) return none();
        return store_->set_reason(id, reason);
    }
    Stored<int> next_incarnation(const std::string& id) override {
        if (full) return none();
        return store_->next_incarnation(id);
    }
    Stored<void> add_event(const std::string& id, const JobEvent& event) override {
        if (full) return none();
        return store_->add_event(id, event);
    }
    Stored<std::vector<JobEvent>> events(const std::string& id) const override { return store_->events(id); }
    Stored<void> save_snapshot(const std::string& id, const Bytes& snapshot) override {
        if (full) return none();
        return store_->save_snapshot(id, snapshot);
    }
    Stored<std::optional<Bytes>> snapshot(const std::string& id) const override { return store_->snapshot(id); }
    Stored<std::filesystem::path> bundle(const std::string& id) const override { return store_->bundle(id); }
    Stored<void> save_workspace(const std::string& id, const std::filesystem::path& archive) override {
        if (full) return none();
        return store_->save_workspace(id, archive);
    }
    Stored<std::filesystem::path> workspace(const std::string& id) const override { return store_->workspace(id); }
    Stored<void> remove(const std::string& id) override { return store_->remove(id); }

private:
    tl::unexpected<StoreError> none() {
        ++refusals;
        return tl::unexpected(StoreError{StoreError::Kind::unusable, "the disk is full", {}});
    }

    const std::unique_ptr<JobStore> store_;
};

}  // namespace rankexec::job::test
