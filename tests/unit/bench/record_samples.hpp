// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "rankexec/core/bench/measurement.hpp"

namespace rankexec::bench {

inline Measurement measured(Case where, double median, double spread = 2, std::string subject = kOurself) {
    Measurement measurement;
    measurement.where = std::move(where);
    measurement.subject = std::move(subject);
    measurement.figure =
        summarise({median - spread / 2, median - spread / 2, median, median + spread / 2, median + spread / 2});
    return measurement;
}

inline Case at(Scenario scenario, int ranks, std::uint64_t payload = 0, const char* transport = "auto") {
    return {scenario, ranks, payload, "local", transport, {}, false};
}

/// Ours, a limit and a peer whose name needs escaping; over ranks, over bytes, at one place, and a failure.
inline Record sample_record() {
    Record record = new_record();
    for (const int ranks : {1, 4, 8}) {
        record.measurements.push_back(measured(at(Scenario::round_trip, ranks), 10.0 * ranks));
        record.measurements.push_back(measured(at(Scenario::round_trip, ranks, 0, "zeromq"), 100.0 * ranks));
        record.measurements.push_back(measured(at(Scenario::round_trip, ranks), 8.0 * ranks, 1, "limit"));
        record.measurements.push_back(measured(at(Scenario::round_trip, ranks), 90, 3, "a <peer> & \"friend\""));
    }
    for (const std::uint64_t bytes : {64U, 65536U, 67108864U}) {
        record.measurements.push_back(
            measured(at(Scenario::fan_out, 8, bytes), 20.0 + static_cast<double>(bytes) / 1000));
    }
    record.measurements.push_back(measured(at(Scenario::stop, 8), 6000));
    record.measurements.push_back(measured(at(Scenario::event_rate, 8), 400'000));
    record.measurements.back().unit = "events/s";
    record.measurements.push_back(measured(at(Scenario::death, 8), 0));
    record.measurements.back().failure = "rank 3 <died>";
    record.goals.push_back({"round trip", "<= 1.5x", "1.25x", "80 us", "64 us", "pass"});
    return record;
}

}  // namespace rankexec::bench
