// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rankexec::bench {

/// What is measured; docs/bench.md says for each what lies inside the timed part.
enum class Scenario {
    round_trip,    ///< a small task to all ranks, the answer of rank 0
    all_results,   ///< the same, with the answers of all ranks
    hand_out,      ///< a tensor to all ranks, which look at it after the timed part
    fan_out,       ///< a tensor to all ranks, which read all of it
    gather,        ///< a tensor from every rank, read by the parent
    task,          ///< the user's task, with a tensor when a payload is given
    events,        ///< an event of rank 0, handled by a component of the parent, and back
    event_rate,    ///< events of all ranks at once, each waiting for its answer
    event_stream,  ///< events of all ranks at once, one way
    start,         ///< from nothing to a group that is ready
    stop,          ///< finalise of a group in which all obey
    death,         ///< SIGKILL of a rank until execute() returns with the failure
    soak,          ///< tasks, tensors and events in turn for a while: do they slow down, does memory grow?
};

/// By name: "round-trip", ...; nothing for any other word.
[[nodiscard]] std::optional<Scenario> scenario_named(std::string_view name);
[[nodiscard]] std::string_view name_of(Scenario scenario);
/// A line for people, the title of its plot.
[[nodiscard]] std::string_view title_of(Scenario scenario);
[[nodiscard]] const std::vector<Scenario>& all_scenarios();

/// Whether it is measured for each payload that was asked for.
[[nodiscard]] bool takes_payload(Scenario scenario);
/// Whether it can be measured with a worker that does not know the benchmark's own tasks.
[[nodiscard]] bool suits_any_worker(Scenario scenario);

/// One point of a measurement.
struct Case {
    Scenario scenario = Scenario::round_trip;
    int ranks = 1;
    std::uint64_t payload = 0;  ///< bytes of the tensor; 0: none
    std::string launcher = "local";
    std::string transport = "auto";
    std::chrono::microseconds silence{0};  ///< before every repetition
    bool in_place = false;                 ///< the tensor is built in memory that allocate() has given

    friend bool operator==(const Case&, const Case&) = default;
};

}  // namespace rankexec::bench
