// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/part_report.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace rankexec::job {
namespace {

using testing::HasSubstr;

PartReport report() {
    PartReport report;
    report.job = "0123";
    report.participant = "site-a";
    report.incarnation = 2;
    report.outcome = PartOutcome::exception;
    report.failure = "out of ink";
    report.detail = "out\nof\nink";
    report.figures = {{"accuracy", {{1, 0.5}, {2, 0.75}}}};
    report.progress = {"one", "two"};
    report.tasks = 7;
    report.late_results = 1;
    return report;
}

constexpr std::array kAll{PartOutcome::success,          PartOutcome::exception,
                          PartOutcome::aborted,          PartOutcome::configuration_error,
                          PartOutcome::unsafe_component, PartOutcome::launch_failed,
                          PartOutcome::controller_gone};

TEST(J11_Report, EveryOutcomeHasAnExitCodeOfItsOwn) {
    std::set<int> codes;
    for (const auto outcome : kAll) {
        const int code = exit_code_of(outcome);
        EXPECT_TRUE(codes.insert(code).second) << code;
        EXPECT_EQ(part_outcome_from(code), outcome);
        EXPECT_EQ(part_outcome_from(to_string(outcome)), outcome);
        // What shells, abort() and exit(1) give is none of them.
        EXPECT_TRUE(code == 0 || (code > 100 && code < 124)) << code;
    }
    EXPECT_FALSE(part_outcome_from(1));
    EXPECT_FALSE(part_outcome_from(137));
    EXPECT_FALSE(part_outcome_from("fine"));
}

TEST(J11_Report, SurvivesBeingAValue) {
    const auto read = part_report_from(to_value(report()));
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(*read, report());
}

TEST(J11_Report, WhatIsNoneIsRefused) {
    auto value = to_value(report());
    value["outcome"] = "fine";
    EXPECT_FALSE(part_report_from(value));
    value = to_value(report());
    value["figures"] = Value::Map{{"x", Value::Array{1}}};
    EXPECT_FALSE(part_report_from(value));
    EXPECT_FALSE(part_report_from(Value("nonsense")));
    EXPECT_FALSE(part_report_from(Value::Map{}));
}

TEST(J11_Report, IsAFileInTheWorkspace) {
    auto folder = (std::filesystem::temp_directory_path() / "rankexec-report-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    ASSERT_TRUE(write_report(folder, report()));
    std::ifstream file(std::filesystem::path(folder) / kReportFile);
    std::stringstream text;
    text << file.rdbuf();
    EXPECT_THAT(text.str(), HasSubstr(R"("outcome":"exception")"));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
    std::filesystem::remove_all(folder);
    const auto failed = write_report(folder, report());
    ASSERT_FALSE(failed);
    EXPECT_THAT(failed.error().message, HasSubstr("report.json: No such file"));
}

}  // namespace
}  // namespace rankexec::job
