// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/model/job_record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace rankexec::job {
namespace {

using std::chrono::milliseconds;

JobRecord full_record() {
    JobRecord record;
    record.id = "0123456789abcdef0123456789abcdef";
    record.name = "digits";
    record.submitter = "ana";
    record.token = "try-1";
    record.status = JobStatus::abnormal;
    record.version = 4;
    record.digest = std::string(64, 'a');
    record.bundle_bytes = 1234;
    record.submitted_at = WallTime(milliseconds(1'000));
    record.started_at = WallTime(milliseconds(2'000));
    record.duration = milliseconds(500);
    record.attempts = {{WallTime(milliseconds(1'500)), "needs 2 GPUs, 1 free"}};
    record.attempt_count = 21;
    record.deploy_detail = {{"a", true, ""}, {"b", false, "no answer"}};
    record.sites = {"a", "b"};
    record.reason = "site b was lost";
    record.incarnation = 2;
    return record;
}

TEST(J1_JobRecord, SurvivesTheWayThroughAMessage) {
    EXPECT_EQ(job_record_from(to_value(full_record())), full_record());
    EXPECT_EQ(job_record_from(to_value(JobRecord{})), JobRecord{});
    const JobEvent event{WallTime(milliseconds(7)), "started", "at 2 sites"};
    EXPECT_EQ(job_event_from(to_value(event)), event);
}

TEST(J1_JobRecord, WhatIsNoRecordIsRefusedByField) {
    const auto all = to_value(full_record());
    for (const auto& [key, unused] : *all.if_map()) {
        auto value = to_value(full_record());
        if (key == "started_at" || key == "duration_ms") continue;  // need not be there
        value.if_map()->erase(key);
        try {
            static_cast<void>(job_record_from(value));
            ADD_FAILURE() << key << " was not missed";
        } catch (const std::invalid_argument& error) {
            EXPECT_THAT(error.what(), testing::HasSubstr("\"" + key + "\""));
        }
        value[key] = Value(Bytes(3));
        EXPECT_THROW(static_cast<void>(job_record_from(value)), std::invalid_argument) << key;
    }
    auto value = to_value(full_record());
    value["status"] = "running about";
    EXPECT_THROW(static_cast<void>(job_record_from(value)), std::invalid_argument);
    value = to_value(full_record());
    value["bundle_bytes"] = -1;
    EXPECT_THROW(static_cast<void>(job_record_from(value)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(job_record_from(Value("text"))), std::invalid_argument);
}

TEST(J1_JobRecord, TimesAreShownInUtc) {
    EXPECT_EQ(to_text(WallTime(milliseconds(0))), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(to_text(WallTime(milliseconds(1'795'352'748'123))), "2026-11-22T13:05:48.123Z");
    EXPECT_EQ(to_text(WallTime(milliseconds(-5))), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(to_text(WallTime::max()), "9999-12-31T23:59:59.999Z");
    EXPECT_GT(wall_now(), WallTime(milliseconds(1'700'000'000'000)));
}

}  // namespace
}  // namespace rankexec::job
