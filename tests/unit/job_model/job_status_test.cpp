// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/model/job_status.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace rankexec::job {
namespace {

using enum JobStatus;

constexpr std::int64_t kStatuses = 11;

std::vector<JobStatus> all() {
    std::vector<JobStatus> statuses;
    for (std::int64_t number = 0; number < kStatuses; ++number) statuses.push_back(*job_status_from(number));
    return statuses;
}

TEST(J1_JobStatus, NamesAndNumbersLeadBackToTheStatus) {
    std::set<std::string_view> names;
    for (const auto status : all()) {
        names.insert(to_string(status));
        EXPECT_EQ(job_status_from(to_string(status)), status);
        EXPECT_EQ(job_status_from(static_cast<std::int64_t>(status)), status);
    }
    EXPECT_THAT(names, testing::UnorderedElementsAre("submitted", "approved", "dispatched", "running", "completed",
                                                     "aborted", "execution_exception", "abnormal", "cannot_schedule",
                                                     "failed_to_run", "abandoned"));
}

TEST(J1_JobStatus, WhatIsNoneIsNone) {
    EXPECT_EQ(job_status_from(std::int64_t{-1}), std::nullopt);
    EXPECT_EQ(job_status_from(kStatuses), std::nullopt);
    EXPECT_EQ(job_status_from(std::string_view()), std::nullopt);
    EXPECT_EQ(job_status_from(std::string_view("Running")), std::nullopt);
    EXPECT_EQ(to_string(static_cast<JobStatus>(200)), "unknown");
    EXPECT_FALSE(may_follow(static_cast<JobStatus>(200), completed));
    EXPECT_FALSE(may_follow(running, static_cast<JobStatus>(200)));
}

TEST(J1_JobStatus, FinalAndActiveAreTold) {
    for (const auto status : all()) {
        EXPECT_EQ(is_active(status), status == dispatched || status == running) << to_string(status);
        const std::set<JobStatus> waiting{submitted, approved, dispatched, running};
        EXPECT_EQ(is_final(status), !waiting.contains(status)) << to_string(status);
    }
}

TEST(J1_JobStatus, TheTableOfChangesIsThis) {
    const std::map<JobStatus, std::set<JobStatus>> table{
        {submitted, {approved, dispatched, aborted, cannot_schedule, failed_to_run}},
        {approved, {dispatched, aborted, cannot_schedule, failed_to_run}},
        {dispatched, {running, aborted, abnormal, failed_to_run, abandoned}},
        {running, {completed, aborted, execution_exception, abnormal, abandoned}},
    };
    for (const auto from : all()) {
        for (const auto to : all()) {
            const bool expected = table.contains(from) && table.at(from).contains(to);
            EXPECT_EQ(may_follow(from, to), expected) << to_string(from) << " to " << to_string(to);
        }
    }
}

}  // namespace
}  // namespace rankexec::job
