// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "rankexec/core/bench/measurement.hpp"

namespace rankexec::bench {

/// A figure over ranks, or over bytes; with one place on that axis it is drawn as bars.
struct Plot {
    struct Point {
        double x = 0;
        double y = 0;
        double low = 0;  ///< quartiles
        double high = 0;
    };
    struct Series {
        std::string name;
        bool ours = true;
        bool limit = false;  ///< drawn dashed: what is possible
        std::vector<Point> points;
    };
    enum class Axis { ranks, bytes };

    std::string name;  ///< for a file: "round-trip", "fan-out-8-ranks"
    std::string title;
    std::string subtitle;  ///< what is the same for all of it: "8 ranks", "64 MiB"
    Axis axis = Axis::ranks;
    std::string unit;  ///< of y: "us" or "events/s"
    std::vector<Series> series;
};

/// Every plot that the record has points for: of each scenario over ranks, and over bytes where several were measured.
[[nodiscard]] std::vector<Plot> plots_of(const Record& record);

/// A file of its own, for light and dark surroundings, without scripts and references to other files.
[[nodiscard]] std::string to_svg(const Plot& plot);

}  // namespace rankexec::bench
