// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/axis.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace rankexec::bench {
namespace {

std::string three_digits(double number, const char* unit) {
    std::array<char, 48> text{};
    // Four digits before the point are shorter than an exponent.
    std::snprintf(text.data(), text.size(), number >= 999.5 ? "%.0f%s" : "%.3g%s", number, unit);
    return text.data();
}

}  // namespace

double LogAxis::place(double value) const {
    const double part = std::log(value / low) / std::log(high / low);
    return begin + std::clamp(part, 0.0, 1.0) * (end - begin);
}

std::vector<double> log_ticks(double low, double high) {
    const bool few = std::log10(high / low) < 2.6;
    std::vector<double> ticks;
    const auto first = static_cast<int>(std::floor(std::log10(low)));
    const auto last = static_cast<int>(std::floor(std::log10(high)));
    for (int power = first; power <= last; ++power) {
        const double decade = std::pow(10.0, power);
        for (const double factor : {1.0, 2.0, 5.0}) {
            const double tick = decade * factor;
            if ((factor == 1.0 || few) && tick >= low * 0.9999 && tick <= high * 1.0001) ticks.push_back(tick);
        }
    }
    return ticks;
}

std::string figure_text(double figure, const std::string& unit) {
    if (unit != "us") {
        if (figure >= 1e6) return three_digits(figure / 1e6, " M/s");
        return figure >= 1e4 ? three_digits(figure / 1e3, " k/s") : three_digits(figure, " /s");
    }
    if (figure >= 999.5e3) return three_digits(figure / 1e6, " s");
    return figure >= 999.5 ? three_digits(figure / 1e3, " ms") : three_digits(figure, " µs");
}

}  // namespace rankexec::bench
