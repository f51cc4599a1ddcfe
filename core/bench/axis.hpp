// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "rankexec/core/plot/svg.hpp"

namespace rankexec::bench {

/// A logarithmic axis from `low` to `high`, drawn from `begin` to `end`.
struct LogAxis {
    double low = 1;
    double high = 10;
    double begin = 0;
    double end = 1;

    [[nodiscard]] double place(double value) const;
};

/// The decades in [low, high], with 2 and 5 times them where there are few.
[[nodiscard]] std::vector<double> log_ticks(double low, double high);

/// "0.5 µs", "12 µs", "1.2 ms", "3 s"; "320 k/s" for events.
[[nodiscard]] std::string figure_text(double figure, const std::string& unit);

using plot::escaped;

}  // namespace rankexec::bench
