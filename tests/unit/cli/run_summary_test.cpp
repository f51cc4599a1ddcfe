// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/jobs/run_summary.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "temporary_folder.hpp"

namespace rankexec::cli {
namespace {

using testing::HasSubstr;

std::string text_of(const std::filesystem::path& file) {
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(RunSummary, HasAColumnForEachFigureAndARowForEachStep) {
    EXPECT_EQ(format_figures({{"accuracy", {{1, 0.5}, {2, 0.75}}}, {"loss", {{2, 1}}}}),
              "round  accuracy    loss\n"
              "    1    0.5000       -\n"
              "    2    0.7500  1.0000\n");
    EXPECT_EQ(format_figures({}), "");
}

TEST(RunSummary, LastOfSeveralFiguresOfAStepCounts) {
    EXPECT_THAT(format_figures({{"x", {{1, 0.25}, {1, 0.5}}}}), HasSubstr("0.5000"));
}

TEST(RunSummary, WritesTableAndPlots) {
    const TemporaryFolder folder;
    job::PartReport report;
    report.job = "0123";
    report.figures = {{"accuracy", {{1, 0.5}, {2, 0.75}}}, {"accuracy.a", {{1, 0.5}}}, {"evil/../name", {{1, 1}}}};
    report.progress = {"round 1/2  accuracy 0.5000"};
    ASSERT_TRUE(write_summary(folder.path(), "digits", report));
    EXPECT_THAT(text_of(folder.path() / "summary.txt"), HasSubstr("round 1/2  accuracy 0.5000"));
    EXPECT_THAT(text_of(folder.path() / "accuracy.svg"), HasSubstr("accuracy.a"));
    EXPECT_THAT(text_of(folder.path() / "evil_.svg"), HasSubstr("evil"));
    EXPECT_FALSE(write_summary(folder.path() / "none", "digits", report));
}

}  // namespace
}  // namespace rankexec::cli
