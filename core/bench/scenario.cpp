// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/scenario.hpp"

#include <algorithm>
#include <array>

namespace rankexec::bench {
namespace {

struct Row {
    Scenario scenario;
    std::string_view name;
    std::string_view title;
    bool takes_payload;
    bool suits_any_worker;
};

constexpr std::array kRows{
    Row{Scenario::round_trip, "round-trip", "Round trip of a small task, answer of rank 0", false, false},
    Row{Scenario::all_results, "all-results", "Round trip of a small task, answers of all ranks", false, false},
    Row{Scenario::hand_out, "hand-out", "A tensor handed to all ranks", true, false},
    Row{Scenario::fan_out, "fan-out", "A tensor to all ranks, read by each", true, false},
    Row{Scenario::gather, "gather", "A tensor from every rank, read by the parent", true, false},
    Row{Scenario::task, "task", "Your task", true, true},
    Row{Scenario::events, "events", "Round trip of an event, rank to parent", false, false},
    Row{Scenario::event_rate, "event-rate", "Events of all ranks at once", false, false},
    Row{Scenario::event_stream, "event-stream", "Events of all ranks at once, one way", false, false},
    Row{Scenario::start, "start", "Start of a group until it is ready", false, true},
    Row{Scenario::stop, "stop", "End of a group", false, true},
    Row{Scenario::death, "death", "Death of a rank until execute() returns", false, false},
    Row{Scenario::soak, "soak", "Round trip among tensors and events, for a while", false, false},
};

const Row& row_of(Scenario scenario) { return kRows.at(static_cast<std::size_t>(scenario)); }

}  // namespace

std::optional<Scenario> scenario_named(std::string_view name) {
    const auto* const found =
        std::find_if(kRows.begin(), kRows.end(), [&](const Row& row) { return row.name == name; });
    if (found == kRows.end()) return std::nullopt;
    return found->scenario;
}

std::string_view name_of(Scenario scenario) { return row_of(scenario).name; }
std::string_view title_of(Scenario scenario) { return row_of(scenario).title; }
bool takes_payload(Scenario scenario) { return row_of(scenario).takes_payload; }
bool suits_any_worker(Scenario scenario) { return row_of(scenario).suits_any_worker; }

const std::vector<Scenario>& all_scenarios() {
    static const auto all = [] {
        std::vector<Scenario> list;
        list.reserve(kRows.size());
        for (const auto& row : kRows) list.push_back(row.scenario);
        return list;
    }();
    return all;
}

}  // namespace rankexec::bench
