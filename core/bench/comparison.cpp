// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/comparison.hpp"

#include <algorithm>
#include <cmath>

namespace rankexec::bench {
namespace {

const Measurement* find(const Record& record, const Measurement& like) {
    for (const auto& measurement : record.measurements) {
        if (measurement.where == like.where && measurement.subject == like.subject) return &measurement;
    }
    return nullptr;
}

Verdict judge(const Measurement& now, const Measurement& earlier, double spread) {
    const double distance = now.figure.median - earlier.figure.median;
    if (std::abs(distance) <= spread) return Verdict::within_spread;
    return (distance > 0) == now.more_is_better() ? Verdict::better : Verdict::worse;
}

Difference difference(const Measurement& now, const Measurement* earlier) {
    Difference difference{now.where, now.unit, 0, now.figure.median, now.figure.spread(), Verdict::only_now};
    if (!now.failure.empty()) difference.verdict = Verdict::failed;
    if (earlier == nullptr || !earlier->failure.empty()) return difference;
    difference.earlier = earlier->figure.median;
    if (!now.failure.empty()) return difference;
    difference.spread = std::max(now.figure.spread(), earlier->figure.spread());
    difference.verdict = judge(now, *earlier, difference.spread);
    return difference;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
    switch (verdict) {
        case Verdict::within_spread: return "within the spread";
        case Verdict::better: return "better";
        case Verdict::worse: return "worse";
        case Verdict::only_now: return "not measured before";
        case Verdict::only_earlier: return "not measured now";
        case Verdict::failed: return "failed";
    }
    return "";
}

std::vector<Difference> compare(const Record& now, const Record& earlier) {
    std::vector<Difference> differences;
    for (const auto& measurement : now.measurements) {
        if (measurement.subject == kOurself) differences.push_back(difference(measurement, find(earlier, measurement)));
    }
    for (const auto& measurement : earlier.measurements) {
        if (measurement.subject != kOurself || !measurement.failure.empty() || find(now, measurement)) continue;
        differences.push_back({measurement.where, measurement.unit, measurement.figure.median, 0,
                               measurement.figure.spread(), Verdict::only_earlier});
    }
    return differences;
}

}  // namespace rankexec::bench
