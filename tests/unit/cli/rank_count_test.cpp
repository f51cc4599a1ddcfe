// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/rank_count.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rankexec::cli {
namespace {

using testing::HasSubstr;

TEST(RankCount, TakesWholeNumbersUpToTheLimit) {
    EXPECT_EQ(parse_rank_count("1"), 1);
    EXPECT_EQ(parse_rank_count("65536"), 65536);
}

TEST(RankCount, RefusesEverythingElse) {
    for (const auto* text : {"0", "-1", "65537", "99999999999999999999", "", " 4", "4 ", "4.0", "four", "+4", "0x4"}) {
        EXPECT_FALSE(parse_rank_count(text).has_value()) << text;
    }
}

TEST(RankCount, SaysWhatIsWrong) {
    EXPECT_THAT(parse_rank_count("0").error(), HasSubstr("0 ranks cannot be started"));
    EXPECT_THAT(parse_rank_count("four").error(), HasSubstr("'four' is not a number of ranks"));
    EXPECT_LT(parse_rank_count(std::string(10'000, '9')).error().size(), 200U);
}

TEST(RankCount, NamesTheLimitThatItExceeds) {
    EXPECT_TRUE(check_fits(98, {100, "ulimit -u"}).has_value());
    EXPECT_FALSE(check_fits(99, {100, "ulimit -u"}).has_value());
    const auto refused = check_fits(200, {100, "ulimit -u"});
    ASSERT_FALSE(refused.has_value());
    EXPECT_THAT(refused.error(),
                HasSubstr("200 ranks need 202 processes, with this command and its guardian, but only 100 are"));
    EXPECT_THAT(refused.error(), HasSubstr("ulimit -u"));
}

TEST(RankCount, KnowsThisMachinesLimit) {
    const auto limit = process_limit();
    EXPECT_GT(limit.processes, 0);
    EXPECT_FALSE(limit.source.empty());
}

}  // namespace
}  // namespace rankexec::cli
