// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/jobs/run_summary.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "rankexec/core/cli/table.hpp"
#include "rankexec/core/job/workflow/whole_file.hpp"
#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/plot/line_chart.hpp"

namespace rankexec::cli {
namespace {

/// "accuracy" of "accuracy.site-a".
std::string kind_of(const std::string& name) { return name.substr(0, name.find('.')); }

/// Figures have any name; files do not.
std::string file_name(const std::string& kind) {
    std::string name;
    for (const char c : kind)
        name += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' ? c : '_';
    return name.empty() ? "figures" : name.substr(0, 60);
}

plot::LineChart chart_of(const std::string& kind, const std::string& job_name, const job::Figures& figures) {
    plot::LineChart chart;
    chart.title = kind + " per round";
    chart.subtitle = job_name;
    chart.steps = "round";
    for (const auto& [name, points] : figures) {
        if (kind_of(name) != kind) continue;
        plot::LineChart::Series series{name, name == kind, {}};
        for (const auto& [step, value] : points) series.points.emplace_back(static_cast<double>(step), value);
        std::ranges::stable_sort(series.points, {}, [](const auto& point) { return point.first; });
        chart.series.push_back(std::move(series));
    }
    return chart;
}

}  // namespace

std::string format_figures(const job::Figures& figures) {
    if (figures.empty()) return {};
    std::vector<std::string> columns{"round"};
    std::set<std::int64_t> steps;
    for (const auto& [name, points] : figures) {
        columns.push_back(printable(name, 40));
        for (const auto& point : points) steps.insert(point.first);
    }
    Table table(columns);
    for (const auto step : steps) {
        std::vector<std::string> row{std::to_string(step)};
        for (const auto& [name, points] : figures) {
            // A restored run tells its figures again: the last one counts.
            const auto found =
                std::ranges::find(points.rbegin(), points.rend(), step, [](const auto& point) { return point.first; });
            row.push_back(found == points.rend() ? "-" : format_metric(found->second));
        }
        table.add_row(row);
    }
    return table.text();
}

tl::expected<void, Failure> write_summary(const std::filesystem::path& folder, const std::string& job_name,
                                          const job::PartReport& report) {
    auto text = "job " + job_name + " (" + report.job + "): " + std::string(to_string(report.outcome)) + "\n";
    if (!report.failure.empty()) text += report.failure + "\n";
    text += "tasks " + std::to_string(report.tasks) + ", late results " + std::to_string(report.late_results) + "\n\n";
    if (const auto table = format_figures(report.figures); !table.empty()) text += table + "\n";
    for (const auto& line : report.progress) text += line + "\n";
    if (auto written = job::write_whole_file(folder / "summary.txt", text); !written) return written;

    std::set<std::string> kinds;
    for (const auto& [name, points] : report.figures) kinds.insert(kind_of(name));
    for (const auto& kind : kinds) {
        const auto svg = plot::to_svg(chart_of(kind, job_name, report.figures));
        if (auto written = job::write_whole_file(folder / (file_name(kind) + ".svg"), svg); !written) return written;
    }
    return {};
}

}  // namespace rankexec::cli
