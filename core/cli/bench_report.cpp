// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/bench_report.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "rankexec/core/bench/axis.hpp"
#include "rankexec/core/bench/size_list.hpp"
#include "rankexec/core/cli/table.hpp"

namespace rankexec::cli {
namespace {

using bench::Difference;
using bench::Measurement;

std::string payload_text(const bench::Case& where) {
    if (where.payload == 0) return "-";
    return bench::format_size(where.payload) + (where.in_place ? ", in place" : "");
}

std::string memory_text(std::int64_t bytes) {
    return bytes < 0 ? "-" : format_figure(std::round(static_cast<double>(bytes) / 1048576.0 * 10) / 10);
}

std::string cpu_text(double time) { return time < 0 ? "-" : bench::figure_text(time, "us"); }

std::string silence_text(const bench::Case& where) {
    return where.silence.count() == 0 ? "-" : std::to_string(where.silence.count() / 1000) + " ms";
}

std::string percent(double change) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%+.1f %%", change * 100);
    return text.data();
}

}  // namespace

std::string describe(const bench::Case& where) {
    auto text = std::string(bench::name_of(where.scenario)) + ", " + std::to_string(where.ranks) +
                (where.ranks == 1 ? " rank" : " ranks");
    if (where.payload > 0) text += ", " + payload_text(where);
    if (where.launcher != "local") text += ", " + where.launcher;
    if (where.transport != "auto") text += ", " + where.transport;
    if (where.silence.count() > 0) text += ", after " + silence_text(where) + " of silence";
    return text;
}

std::string format_measurements(const std::vector<Measurement>& measurements) {
    Table table({"scenario", "ranks", "payload", "launcher", "transport", "silence", "median", "quartiles", "p99",
                 "cpu parent", "cpu ranks", "MiB parent", "MiB rank"});
    std::string notes;
    for (const auto& each : measurements) {
        const auto& figure = each.figure;
        std::string scenario(bench::name_of(each.where.scenario));
        if (each.subject != bench::kOurself) scenario += " (" + each.subject + ")";
        const auto shown = [&](double number) {
            return each.failure.empty() ? bench::figure_text(number, each.unit) : "failed";
        };
        table.add_row({scenario, std::to_string(each.where.ranks), payload_text(each.where), each.where.launcher,
                       each.where.transport, silence_text(each.where), shown(figure.median),
                       each.failure.empty() ? shown(figure.lower_quartile) + " - " + shown(figure.upper_quartile) : "-",
                       shown(figure.p99), cpu_text(each.parent_cpu), cpu_text(each.ranks_cpu),
                       memory_text(each.parent_memory), memory_text(each.rank_memory)});
        if (!each.failure.empty()) notes += describe(each.where) + ": " + each.failure + "\n";
        if (each.where.scenario == bench::Scenario::soak && each.failure.empty()) {
            notes += describe(each.where) + ": resident memory of parent and ranks has changed by " +
                     format_figure(static_cast<double>(each.growth) / 1024) + " KiB\n";
        }
    }
    return table.text() + (notes.empty() ? "" : "\n" + notes);
}

std::string format_differences(const std::vector<Difference>& differences) {
    Table table({"case", "earlier", "now", "change", "spread", "verdict"});
    for (const auto& each : differences) {
        const auto shown = [&](double number) { return number > 0 ? bench::figure_text(number, each.unit) : "-"; };
        table.add_row({describe(each.where), shown(each.earlier), shown(each.now),
                       each.earlier > 0 && each.now > 0 ? percent(each.change()) : "-", shown(each.spread),
                       std::string(to_string(each.verdict))});
    }
    const auto beyond = std::count_if(differences.begin(), differences.end(), [](const Difference& each) {
        return each.verdict == bench::Verdict::better || each.verdict == bench::Verdict::worse;
    });
    return table.text() + "\n" + std::to_string(beyond) + " of " + std::to_string(differences.size()) +
           " differences exceed the spread\n";
}

}  // namespace rankexec::cli
