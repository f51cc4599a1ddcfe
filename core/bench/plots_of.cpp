// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <utility>

#include "rankexec/core/bench/plot.hpp"
#include "rankexec/core/bench/size_list.hpp"

namespace rankexec::bench {
namespace {

using Chosen = std::vector<const Measurement*>;

/// More plots of one scenario than this, for one payload each, would only be leafed through.
constexpr std::size_t kMostPayloads = 3;

std::string count_of_ranks(int ranks) { return std::to_string(ranks) + (ranks == 1 ? " rank" : " ranks"); }

/// Who was measured, as far as it differs between the measurements of a plot.
std::string series_name(const Measurement& measurement, bool several_launchers) {
    const auto& where = measurement.where;
    auto name = measurement.subject + (where.in_place ? ", in place" : "");
    if (measurement.subject != kOurself) return name;
    if (where.transport != "auto") name += ", " + where.transport;
    if (several_launchers) name += ", " + where.launcher;
    return name;
}

Plot make_plot(const Chosen& chosen, Plot plot) {
    std::set<std::string> launchers;
    for (const auto* each : chosen) {
        if (each->subject == kOurself) launchers.insert(each->where.launcher);
    }
    for (const auto* each : chosen) {
        const auto name = series_name(*each, launchers.size() > 1);
        auto series = std::find_if(plot.series.begin(), plot.series.end(),
                                   [&](const Plot::Series& known) { return known.name == name; });
        if (series == plot.series.end()) {
            plot.series.push_back({name, each->subject == kOurself, each->subject.starts_with("limit"), {}});
            series = std::prev(plot.series.end());
        }
        const auto& figure = each->figure;
        const double x = plot.axis == Plot::Axis::ranks ? each->where.ranks : static_cast<double>(each->where.payload);
        series->points.push_back({x, figure.median, figure.lower_quartile, figure.upper_quartile});
    }
    for (auto& series : plot.series) {
        std::sort(series.points.begin(), series.points.end(),
                  [](const Plot::Point& left, const Plot::Point& right) { return left.x < right.x; });
    }
    plot.unit = chosen.front()->unit;
    return plot;
}

template <typename Keep>
Chosen choose(const Chosen& from, Keep keep) {
    Chosen chosen;
    std::copy_if(from.begin(), from.end(), std::back_inserter(chosen), keep);
    return chosen;
}

std::string silence_text(std::chrono::microseconds silence) {
    return silence.count() == 0 ? "" : "after " + std::to_string(silence.count() / 1000) + " ms of silence";
}

std::string file_name(std::string text) {
    std::replace(text.begin(), text.end(), ' ', '-');
    return text;
}

void add_plots(const Chosen& scenario, std::vector<Plot>& plots) {
    std::set<std::uint64_t> payloads;
    std::set<int> ranks;
    for (const auto* each : scenario) {
        payloads.insert(each->where.payload);
        ranks.insert(each->where.ranks);
    }
    const auto& first = scenario.front()->where;
    Plot plot;
    plot.title = title_of(first.scenario);
    const auto silence = silence_text(first.silence);
    const auto stem = std::string(name_of(first.scenario)) + (silence.empty() ? "" : "-" + file_name(silence));
    const auto add = [&](const Chosen& chosen, Plot::Axis axis, const std::string& what, const std::string& suffix) {
        plot.axis = axis;
        plot.name = stem + (suffix.empty() ? "" : "-" + file_name(suffix));
        plot.subtitle = what + (what.empty() || silence.empty() ? "" : ", ") + silence;
        plots.push_back(make_plot(chosen, plot));
    };
    if (payloads.size() > 1) {
        const int most = *ranks.rbegin();
        const auto text = count_of_ranks(most);
        add(choose(scenario, [&](const Measurement* each) { return each->where.ranks == most; }), Plot::Axis::bytes,
            text, "over bytes");
    }
    if (ranks.size() == 1 && payloads.size() > 1) return;
    std::size_t drawn = 0;
    for (auto bytes = payloads.rbegin(); bytes != payloads.rend() && drawn < kMostPayloads; ++bytes, ++drawn) {
        const auto text = *bytes == 0 ? std::string() : format_size(*bytes);
        const auto chosen = choose(scenario, [&](const Measurement* each) { return each->where.payload == *bytes; });
        add(chosen, Plot::Axis::ranks,
            text + (ranks.size() == 1 ? (text.empty() ? "" : ", ") + count_of_ranks(*ranks.begin()) : ""),
            payloads.size() > 1 ? text : "");
    }
}

}  // namespace

std::vector<Plot> plots_of(const Record& record) {
    std::vector<std::pair<Scenario, std::chrono::microseconds>> kinds;
    for (const auto& each : record.measurements) {
        const std::pair kind(each.where.scenario, each.where.silence);
        if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
    }
    std::vector<Plot> plots;
    for (const auto& [scenario, silence] : kinds) {
        Chosen chosen;
        for (const auto& each : record.measurements) {
            const bool same = each.where.scenario == scenario && each.where.silence == silence;
            if (same && each.failure.empty() && each.figure.median > 0) chosen.push_back(&each);
        }
        if (!chosen.empty()) add_plots(chosen, plots);
    }
    return plots;
}

}  // namespace rankexec::bench
