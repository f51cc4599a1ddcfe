// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/plot/line_chart.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "rankexec/core/plot/svg.hpp"

namespace rankexec::plot {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(LinearTicks, AreRoundNumbersAroundTheRange) {
    EXPECT_THAT(linear_ticks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
    EXPECT_THAT(linear_ticks(0.861, 0.972, 6),
                ElementsAre(DoubleEq(0.86), DoubleEq(0.88), DoubleEq(0.9), DoubleEq(0.92), DoubleEq(0.94),
                            DoubleEq(0.96), DoubleEq(0.98)));
    EXPECT_GE(linear_ticks(3, 3, 6).size(), 2U);
    EXPECT_GE(linear_ticks(0, 0, 6).size(), 2U);
    EXPECT_GE(linear_ticks(-1e300, 1e300, 6).size(), 2U);
}

TEST(LineChart, DrawsSeriesAndLevels) {
    const auto svg =
        to_svg({"accuracy", "a job", "round", {{"all", true, {{1, 0.5}, {2, 0.75}}}, {"alone", false, {{2, 0.6}}}}});
    EXPECT_THAT(svg, HasSubstr("class=\"line c0 ours\""));
    EXPECT_THAT(svg, HasSubstr("class=\"line c1 limit\""));
    EXPECT_THAT(svg, HasSubstr(">alone</text>"));
}

TEST(LineChart, NamesAreText) {
    const auto svg = to_svg({"<script>", "&", "round", {{"<b>", false, {{1, 1}, {2, 2}}}}});
    EXPECT_THAT(svg, Not(HasSubstr("<script>")));
    EXPECT_THAT(svg, Not(HasSubstr("<b>")));
}

TEST(LineChart, LeavesOutWhatIsNoNumber) {
    const auto svg =
        to_svg({"t", "s", "round", {{"a", true, {{1, NAN}, {2, INFINITY}, {3, 1}}}, {"b", false, {{1, NAN}}}}});
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, Not(HasSubstr("inf")));
    EXPECT_THAT(to_svg({"t", "s", "round", {}}), HasSubstr("there are no figures"));
}

}  // namespace
}  // namespace rankexec::plot
