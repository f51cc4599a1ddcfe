// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "rankexec/core/job/store/job_store.hpp"
#include "unit/cli/temporary_folder.hpp"

namespace rankexec::job {

/// What the contract holds for.
enum class Form { memory, sqlite };
[[nodiscard]] std::string form_name(const ::testing::TestParamInfo<Form>& info);
void PrintTo(Form form, std::ostream* out);  // NOLINT(readability-identifier-naming): GoogleTest's

/// A store in a folder of its own, with a clock that stands until a test moves it.
class StoreOfOneTest {
public:
    explicit StoreOfOneTest(Form form);

    JobStore& operator*() { return *store; }
    JobStore* operator->() { return store.get(); }
    void pass(std::chrono::milliseconds time) { now->store(now->load() + time); }
    [[nodiscard]] WallTime time() const { return now->load(); }
    /// As after a restart of its process. A memory store is empty then.
    void reopen();
    /// A file that can be a bundle, as far as a store looks at it.
    [[nodiscard]] std::filesystem::path file(const std::string& content = "a bundle") const;
    /// A new job.
    JobRecord job(const std::string& name = "digits");
    /// It, at that status, by the ways that the table has.
    JobRecord job_at(JobStatus status);
    [[nodiscard]] std::filesystem::path directory() const { return folder.path() / "store"; }
    /// Regular files of jobs, staged ones included.
    [[nodiscard]] std::size_t files() const;

    static constexpr std::int64_t kMostBytes = 1'000;

    Form form;
    cli::TemporaryFolder folder;
    std::shared_ptr<std::atomic<WallTime>> now =
        std::make_shared<std::atomic<WallTime>>(WallTime(std::chrono::hours(1)));
    std::unique_ptr<JobStore> store;
};

[[nodiscard]] std::string content_of(const std::filesystem::path& file);

}  // namespace rankexec::job
