// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "rankexec/core/job/schedule/scheduler.hpp"
#include "unit/job_schedule/fake_site_pool.hpp"

namespace rankexec::job::test {

/// A scheduler over a store and sites in memory, and a clock that the test moves. Jobs go by their names.
class ScheduleBench : public ::testing::Test {
protected:
    ScheduleBench();
    ~ScheduleBench() override;

    /// Made at first use, with the options as they are then.
    Scheduler& scheduler();
    /// Of the controller: what is only in memory is forgotten, and so are the reservations.
    void restart();

    /// One part for all sites, which needs nothing.
    static JobDefinition definition();
    /// One part for all sites.
    static JobDefinition gpus(int count);
    /// One part for these sites alone, which needs nothing.
    template <typename... Names>
    static JobDefinition at(Names... names) {
        auto job = definition();
        job.parts[0].sites = {names...};
        return job;
    }

    void submit(const std::string& name, const JobDefinition& job = definition());
    [[nodiscard]] std::string id(const std::string& name) const { return ids_.at(name); }
    [[nodiscard]] JobRecord record(const std::string& name) const;
    void run(const std::string& name);
    /// Aborts it and gives its slot back.
    void end(const std::string& name);

    Scheduler::Hooks hooks();

    WallTime now{std::chrono::hours(24 * 365 * 50)};
    FakeSitePool pool;
    SchedulerOptions options;
    std::unique_ptr<JobStore> store;
    bool fail_store = false;          ///< list() fails
    std::set<std::string> malformed;  ///< names of jobs
    bool unreadable = false;          ///< no definition can be read
    Scheduler::BeforeCheck veto;
    int definitions_read = 0;

private:
    std::filesystem::path folder_;
    std::map<std::string, std::string> ids_;
    std::map<std::string, JobDefinition> definitions_;  ///< by id
    std::unique_ptr<Scheduler> scheduler_;
};

}  // namespace rankexec::job::test
