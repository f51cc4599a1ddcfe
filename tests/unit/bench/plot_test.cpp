// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/plot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "rankexec/core/bench/axis.hpp"
#include "record_samples.hpp"

namespace rankexec::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> names(const std::vector<Plot>& plots) {
    std::vector<std::string> all;
    for (const auto& plot : plots) all.push_back(plot.name);
    return all;
}

TEST(Plots, OnePerScenarioAndAxis) {
    const auto plots = plots_of(sample_record());
    EXPECT_THAT(names(plots), ElementsAre("round-trip", "fan-out-over-bytes", "stop", "event-rate"));
    ASSERT_EQ(plots[0].series.size(), 4U);
    EXPECT_EQ(plots[0].series[1].name, "rankexec, zeromq");
    EXPECT_TRUE(plots[0].series[2].limit);
    EXPECT_FALSE(plots[0].series[3].ours);
    EXPECT_EQ(plots[0].series[0].points.size(), 3U);
    EXPECT_EQ(plots[1].subtitle, "8 ranks");
}

TEST(Plots, NamesAreDistinctFiles) {
    Record record;
    for (const int ranks : {1, 8}) {
        for (const std::uint64_t bytes : {64U, 1024U, 1048576U, 67108864U}) {
            record.measurements.push_back(measured(at(Scenario::gather, ranks, bytes), 10));
            record.measurements.push_back(measured(at(Scenario::fan_out, ranks, bytes), 10));
        }
        for (const int milliseconds : {0, 1, 5}) {
            auto where = at(Scenario::round_trip, ranks);
            where.silence = std::chrono::milliseconds(milliseconds);
            record.measurements.push_back(measured(where, 10));
        }
    }
    const auto all = names(plots_of(record));
    EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), all.size());
    EXPECT_EQ(all.size(), 2U * 4U + 3U);
    for (const auto& name : all) EXPECT_THAT(name, Not(HasSubstr(" ")));
}

TEST(Plots, NothingToDraw) { EXPECT_TRUE(plots_of({}).empty()); }

TEST(Svg, TextIsEscapedAndNothingIsFetched) {
    for (const auto& plot : plots_of(sample_record())) {
        const auto svg = to_svg(plot);
        EXPECT_THAT(svg, testing::StartsWith("<svg"));
        EXPECT_THAT(svg, Not(HasSubstr("<peer>")));
        EXPECT_THAT(svg, Not(HasSubstr("href")));
        EXPECT_THAT(svg, Not(HasSubstr("<script")));
        EXPECT_THAT(svg, Not(HasSubstr("nan")));
        EXPECT_THAT(svg, Not(HasSubstr("inf")));
    }
}

TEST(Axis, Ticks) {
    EXPECT_THAT(log_ticks(1, 100), ElementsAre(1, 2, 5, 10, 20, 50, 100));
    EXPECT_THAT(log_ticks(0.9, 11000), ElementsAre(1, 10, 100, 1000, 10000));
}

TEST(Axis, TextForXml) { EXPECT_EQ(escaped("<a&b>\"\x1b\xff\xc2\xb5"), "&lt;a&amp;b&gt;&quot; \xef\xbf\xbd\xc2\xb5"); }

TEST(Axis, Figures) {
    EXPECT_EQ(figure_text(0.52, "us"), "0.52 µs");
    EXPECT_EQ(figure_text(14'230, "us"), "14.2 ms");
    EXPECT_EQ(figure_text(2'500'000, "us"), "2.5 s");
    EXPECT_EQ(figure_text(320'000, "events/s"), "320 k/s");
}

}  // namespace
}  // namespace rankexec::bench
