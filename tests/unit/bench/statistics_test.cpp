// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/statistics.hpp"

#include <gtest/gtest.h>

namespace rankexec::bench {
namespace {

TEST(Statistics, NoSamples) {
    const auto summary = summarise({});
    EXPECT_EQ(summary.count, 0U);
    EXPECT_EQ(summary.median, 0);
    EXPECT_EQ(summary.spread(), 0);
}

TEST(Statistics, OneSampleIsEverything) {
    const auto summary = summarise({7});
    EXPECT_EQ(summary.count, 1U);
    for (const double figure : {summary.minimum, summary.lower_quartile, summary.median, summary.upper_quartile,
                                summary.p99, summary.maximum}) {
        EXPECT_EQ(figure, 7);
    }
}

TEST(Statistics, QuantilesAreInterpolatedWhateverTheOrder) {
    const auto summary = summarise({5, 1, 4, 2, 3});
    EXPECT_EQ(summary.minimum, 1);
    EXPECT_EQ(summary.lower_quartile, 2);
    EXPECT_EQ(summary.median, 3);
    EXPECT_EQ(summary.upper_quartile, 4);
    EXPECT_DOUBLE_EQ(summary.p99, 4.96);
    EXPECT_EQ(summary.maximum, 5);
    EXPECT_EQ(summary.spread(), 2);
    EXPECT_EQ(summarise({1, 2}).median, 1.5);
}

TEST(Statistics, OneOutlierMovesTheMaximumOnly) {
    std::vector<double> samples(1000, 10);
    samples.back() = 1e9;
    const auto summary = summarise(samples);
    EXPECT_EQ(summary.p99, 10);
    EXPECT_EQ(summary.maximum, 1e9);
}

}  // namespace
}  // namespace rankexec::bench
