// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/record_json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "record_samples.hpp"

namespace rankexec::bench {
namespace {

using testing::HasSubstr;

TEST(RecordJson, ComesBackAsItWas) {
    auto record = sample_record();
    record.measurements.front().parent_cpu = 3.5;
    record.measurements.front().rank_memory = 4096;
    record.measurements.front().where.silence = std::chrono::milliseconds(5);
    const auto text = to_json(record);
    const auto back = parse_record(text);
    ASSERT_TRUE(back.has_value()) << back.error();
    EXPECT_EQ(to_json(*back), text);
    ASSERT_EQ(back->measurements.size(), record.measurements.size());
    EXPECT_EQ(back->measurements.front().where, record.measurements.front().where);
    EXPECT_EQ(back->goals.front().verdict, "pass");
}

TEST(RecordJson, AMedianIsEnough) {
    const auto record = parse_record(
        R"({"format": "rankexec-bench", "format_version": 1, "more": 1,
            "measurements": [{"scenario": "stop", "subject": "limit", "ranks": 8, "median": 5.5}]})");
    ASSERT_TRUE(record.has_value()) << record.error();
    EXPECT_EQ(record->measurements.front().figure.upper_quartile, 5.5);
    EXPECT_EQ(record->measurements.front().parent_cpu, -1);
}

TEST(RecordJson, RefusesWhatIsNone) {
    EXPECT_THAT(parse_record("").error(), HasSubstr("parse error"));
    EXPECT_THAT(parse_record("[]").error(), HasSubstr("rankexec bench --json"));
    EXPECT_THAT(parse_record(R"({"format": "other"})").error(), HasSubstr("rankexec bench --json"));
    EXPECT_THAT(parse_record(R"({"format": "rankexec-bench", "format_version": 2})").error(),
                HasSubstr("another version"));
    EXPECT_FALSE(parse_record(R"({"format": "rankexec-bench", "format_version": 1})").has_value());
    EXPECT_THAT(parse_record(R"({"format": "rankexec-bench", "format_version": 1,
                                 "measurements": [{"scenario": "tea", "ranks": 1, "median": 1}]})")
                    .error(),
                HasSubstr("'tea'"));
    EXPECT_FALSE(parse_record(R"({"format": "rankexec-bench", "format_version": 1,
                                  "measurements": [{"scenario": "stop", "ranks": "many", "median": 1}]})")
                     .has_value());
}

}  // namespace
}  // namespace rankexec::bench
