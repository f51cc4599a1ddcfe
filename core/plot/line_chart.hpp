// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace rankexec::plot {

/// Figures over steps, on linear axes. What comes once only is drawn as a level, dashed.
struct LineChart {
    struct Series {
        std::string name;
        bool main = false;                              ///< drawn thicker
        std::vector<std::pair<double, double>> points;  ///< (step, figure), in order of steps
    };
    std::string title;
    std::string subtitle;
    std::string steps;  ///< what the steps are: "round"
    std::vector<Series> series;
};

/// Round numbers from `low` to `high` or beyond, about `count` of them.
[[nodiscard]] std::vector<double> linear_ticks(double low, double high, int count);

/// A file of its own, as svg.hpp says. Points that are not finite are left out.
[[nodiscard]] std::string to_svg(const LineChart& chart);

}  // namespace rankexec::plot
