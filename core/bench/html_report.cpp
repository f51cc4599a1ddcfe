// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/html_report.hpp"

#include <algorithm>

#include "rankexec/core/bench/axis.hpp"
#include "rankexec/core/bench/plot.hpp"
#include "rankexec/core/bench/size_list.hpp"

namespace rankexec::bench {
namespace {

constexpr const char* kHead = R"html(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/><title>rankexec: benchmark</title><style>
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;
background:#fff;color:#1c2430}
h1{margin-bottom:0}h2{margin-top:2em}p.about{color:#66707f;margin-top:.2em}
figure{margin:1.2em 0;border:1px solid #e3e6eb;border-radius:8px;overflow:hidden}svg{display:block;width:100%;height:auto}
div.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px}
th,td{padding:.3em .8em;border-bottom:1px solid #e3e6eb;text-align:left}td.n,th.n{text-align:right;white-space:nowrap}
.pass{color:#00735a;font-weight:600}.miss{color:#b3234d;font-weight:600}
@media(prefers-color-scheme:dark){body{background:#14181d;color:#e8ebf0}p.about{color:#9aa4b2}
figure,th,td{border-color:#2c333d}.pass{color:#3fd0a2}.miss{color:#ff7a9d}}
</style></head><body>
)html";

constexpr const char* kReading =
    R"html(<p>Lines join medians, the thin bars span the quartiles. A dashed line is a limit: a minimal program
that moves the same bytes on this machine, without the library. Figures of other machines cannot be compared; ratios
between the curves can.</p>
)html";

std::string cell(const std::string& text, bool number) {
    return std::string(number ? "<td class=\"n\">" : "<td>") + escaped(text) + "</td>";
}

std::string goals_table(const Record& record) {
    if (record.goals.empty()) return "";
    std::string html =
        "<h2>Goals</h2>\n<div class=\"wide\"><table><tr><th>row</th><th>goal</th><th class=\"n\">measured</th>"
        "<th class=\"n\">rankexec</th><th class=\"n\">compared with</th><th>verdict</th></tr>\n";
    for (const auto& goal : record.goals) {
        html += "<tr>" + cell(goal.row, false) + cell(goal.goal, false) + cell(goal.measured, true) +
                cell(goal.ours, true) + cell(goal.reference, true) + "<td class=\"" +
                (goal.verdict == "pass" ? "pass" : "miss") + "\">" + escaped(goal.verdict) + "</td></tr>\n";
    }
    return html + "</table></div>\n";
}

std::string memory_text(std::int64_t bytes) { return bytes < 0 ? "" : format_size(static_cast<std::uint64_t>(bytes)); }
std::string cpu_text(double time) { return time < 0 ? "" : figure_text(time, "us"); }

std::string row_of(const Measurement& measurement) {
    const auto& where = measurement.where;
    const auto& figure = measurement.figure;
    std::string html =
        "<tr>" + cell(std::string(name_of(where.scenario)), false) + cell(measurement.subject, false) +
        cell(std::to_string(where.ranks), true) +
        cell(where.payload == 0 ? "" : format_size(where.payload) + (where.in_place ? ", in place" : ""), true) +
        cell(where.launcher, false) + cell(where.transport, false) +
        cell(where.silence.count() == 0 ? "" : figure_text(static_cast<double>(where.silence.count()), "us"), true);
    if (!measurement.failure.empty()) {
        return html + "<td colspan=\"7\" class=\"miss\">" + escaped(measurement.failure) + "</td></tr>\n";
    }
    const auto shown = [&](double value) { return cell(figure_text(value, measurement.unit), true); };
    return html + shown(figure.median) +
           cell(figure_text(figure.lower_quartile, measurement.unit) + " – " +
                    figure_text(figure.upper_quartile, measurement.unit),
                true) +
           shown(figure.p99) + cell(cpu_text(measurement.parent_cpu), true) +
           cell(cpu_text(measurement.ranks_cpu), true) + cell(memory_text(measurement.parent_memory), true) +
           cell(memory_text(measurement.rank_memory), true) + "</tr>\n";
}

std::string figures_table(const Record& record) {
    std::string html =
        "<h2>All figures</h2>\n<div class=\"wide\"><table><tr><th>scenario</th><th>who</th><th class=\"n\">ranks</th>"
        "<th class=\"n\">payload</th><th>launcher</th><th>transport</th><th class=\"n\">silence</th>"
        "<th class=\"n\">median</th><th class=\"n\">quartiles</th><th class=\"n\">p99</th>"
        "<th class=\"n\">CPU, parent</th><th class=\"n\">CPU, ranks</th><th class=\"n\">peak, parent</th>"
        "<th class=\"n\">peak, rank</th></tr>\n";
    for (const auto& measurement : record.measurements) html += row_of(measurement);
    return html + "</table></div>\n";
}

}  // namespace

std::string to_html(const Record& record) {
    std::string html = std::string(kHead) + "<h1>rankexec: benchmark</h1>\n<p class=\"about\">version " +
                       escaped(record.version) + ", " + escaped(record.time) + "<br/>" + escaped(record.machine) +
                       "</p>\n" + goals_table(record) + "<h2>Plots</h2>\n" + kReading;
    for (const auto& plot : plots_of(record)) html += "<figure>" + to_svg(plot) + "</figure>\n";
    return html + figures_table(record) + "</body></html>\n";
}

}  // namespace rankexec::bench
