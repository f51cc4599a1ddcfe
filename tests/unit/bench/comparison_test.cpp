// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/comparison.hpp"

#include <gtest/gtest.h>

#include "record_samples.hpp"

namespace rankexec::bench {
namespace {

Record of(std::vector<Measurement> measurements) {
    Record record;
    record.measurements = std::move(measurements);
    return record;
}

Verdict verdict(const Measurement& now, const Measurement& earlier) {
    return compare(of({now}), of({earlier})).front().verdict;
}

TEST(Comparison, DistanceWithinTheGreaterSpreadMeansNothing) {
    const auto where = at(Scenario::round_trip, 4);
    EXPECT_EQ(verdict(measured(where, 105, 2), measured(where, 100, 6)), Verdict::within_spread);
    EXPECT_EQ(verdict(measured(where, 105, 6), measured(where, 100, 2)), Verdict::within_spread);
    EXPECT_EQ(verdict(measured(where, 105, 2), measured(where, 100, 4)), Verdict::worse);
    EXPECT_EQ(verdict(measured(where, 95, 2), measured(where, 100, 4)), Verdict::better);
}

TEST(Comparison, OfRatesMoreIsBetter) {
    auto now = measured(at(Scenario::event_rate, 8), 400, 2);
    auto earlier = measured(at(Scenario::event_rate, 8), 300, 2);
    now.unit = earlier.unit = "events/s";
    EXPECT_EQ(verdict(now, earlier), Verdict::better);
    EXPECT_EQ(verdict(earlier, now), Verdict::worse);
}

TEST(Comparison, CasesAreFoundByEverythingThatTellsThemApart) {
    const auto differences =
        compare(of({measured(at(Scenario::round_trip, 4), 10), measured(at(Scenario::stop, 4), 10)}),
                of({measured(at(Scenario::round_trip, 4, 0, "zeromq"), 90), measured(at(Scenario::stop, 4), 20),
                    measured(at(Scenario::stop, 8), 30)}));
    ASSERT_EQ(differences.size(), 4U);
    EXPECT_EQ(differences[0].verdict, Verdict::only_now);
    EXPECT_EQ(differences[1].verdict, Verdict::better);
    EXPECT_DOUBLE_EQ(differences[1].change(), -0.5);
    EXPECT_EQ(differences[2].verdict, Verdict::only_earlier);
    EXPECT_EQ(differences[3].earlier, 30);
    EXPECT_EQ(differences[3].change(), 0);
}

TEST(Comparison, WhatHasFailedHasNoFigure) {
    const auto good = measured(at(Scenario::stop, 4), 10);
    auto bad = good;
    bad.failure = "it broke";
    EXPECT_EQ(verdict(bad, good), Verdict::failed);
    EXPECT_EQ(verdict(good, bad), Verdict::only_now);
    EXPECT_TRUE(compare(of({}), of({bad})).empty());
}

TEST(Comparison, OthersAreNotCompared) {
    EXPECT_TRUE(compare(of({measured(at(Scenario::stop, 4), 10, 2, "limit")}), of({})).empty());
}

}  // namespace
}  // namespace rankexec::bench
