// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace rankexec::bench {

/// What a series of samples says: the middle, and how far it spreads.
struct Summary {
    std::size_t count = 0;
    double minimum = 0;
    double lower_quartile = 0;
    double median = 0;
    double upper_quartile = 0;
    double p99 = 0;
    double maximum = 0;

    /// Distance of the quartiles.
    [[nodiscard]] double spread() const noexcept { return upper_quartile - lower_quartile; }
};

/// Quantiles between two samples are interpolated. No samples: all zero.
[[nodiscard]] Summary summarise(std::vector<double> samples);

}  // namespace rankexec::bench
