// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace rankexec::bench {
namespace {

double quantile(const std::vector<double>& sorted, double part) {
    const double place = part * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const auto above = std::min(below + 1, sorted.size() - 1);
    return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

}  // namespace

Summary summarise(std::vector<double> samples) {
    if (samples.empty()) return {};
    std::sort(samples.begin(), samples.end());
    return {samples.size(),          samples.front(),         quantile(samples, 0.25), quantile(samples, 0.5),
            quantile(samples, 0.75), quantile(samples, 0.99), samples.back()};
}

}  // namespace rankexec::bench
