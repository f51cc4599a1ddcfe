// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/part_report.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "rankexec/core/job/workflow/whole_file.hpp"

namespace rankexec::job {
namespace {

struct Row {
    PartOutcome outcome;
    std::string_view name;
    int exit_code;
};
// Above what shells, libraries and people use for failures of their own, below the codes of signals.
constexpr std::array<Row, 7> kOutcomes{{
    {PartOutcome::success, "success", 0},
    {PartOutcome::exception, "exception", 101},
    {PartOutcome::aborted, "aborted", 102},
    {PartOutcome::configuration_error, "configuration_error", 103},
    {PartOutcome::unsafe_component, "unsafe_component", 104},
    {PartOutcome::launch_failed, "launch_failed", 105},
    {PartOutcome::controller_gone, "controller_gone", 106},
}};

/// Throw std::invalid_argument that names the field.
const Value& member(const Value& value, const char* name) {
    const auto* found = value.find(name);
    if (found == nullptr) throw std::invalid_argument(std::string("the report has no ") + name);
    return *found;
}
std::string text_at(const Value& value, const char* name) {
    const auto* text = member(value, name).if_text();
    if (text == nullptr) throw std::invalid_argument(std::string("the report's ") + name + " is no text");
    return *text;
}
std::int64_t integer_at(const Value& value, const char* name) {
    const auto* number = member(value, name).if_integer();
    if (number == nullptr) throw std::invalid_argument(std::string("the report's ") + name + " is no integer");
    return *number;
}

Value to_value(const Figures& figures) {
    Value::Map map;
    for (const auto& [name, series] : figures) {
        Value::Array points;
        for (const auto& [step, value] : series) points.push_back(Value::Array{step, value});
        map.insert_or_assign(name, std::move(points));
    }
    return map;
}

Figures figures_from(const Value& value) {
    const auto* map = value.if_map();
    if (map == nullptr) throw std::invalid_argument("the report's figures are no map");
    Figures figures;
    for (const auto& [name, series] : *map) {
        const auto* points = series.if_array();
        if (points == nullptr) throw std::invalid_argument("the report's figures hold what is no series");
        auto& target = figures[name];
        for (const auto& point : *points) {
            const auto* pair = point.if_array();
            if (pair == nullptr || pair->size() != 2 || pair->front().if_integer() == nullptr) {
                throw std::invalid_argument("the report's figures hold what is no point");
            }
            target.emplace_back(*pair->front().if_integer(), pair->back().real_or(0));
        }
    }
    return figures;
}

std::vector<std::string> lines_from(const Value& value) {
    const auto* array = value.if_array();
    if (array == nullptr) throw std::invalid_argument("the report's progress is no list");
    std::vector<std::string> lines;
    for (const auto& line : *array) lines.push_back(line.text_or(""));
    return lines;
}

}  // namespace

std::string_view to_string(PartOutcome outcome) noexcept {
    const auto* const row = std::ranges::find(kOutcomes, outcome, &Row::outcome);
    return row == kOutcomes.end() ? "unknown" : row->name;
}

std::optional<PartOutcome> part_outcome_from(std::string_view text) noexcept {
    const auto* const row = std::ranges::find(kOutcomes, text, &Row::name);
    return row == kOutcomes.end() ? std::nullopt : std::optional(row->outcome);
}

int exit_code_of(PartOutcome outcome) noexcept {
    const auto* const row = std::ranges::find(kOutcomes, outcome, &Row::outcome);
    return row == kOutcomes.end() ? exit_code_of(PartOutcome::exception) : row->exit_code;
}

std::optional<PartOutcome> part_outcome_from(int exit_code) noexcept {
    const auto* const row = std::ranges::find(kOutcomes, exit_code, &Row::exit_code);
    return row == kOutcomes.end() ? std::nullopt : std::optional(row->outcome);
}

Value to_value(const PartReport& report) {
    Value::Array progress(report.progress.begin(), report.progress.end());
    return Value::Map{{"job", report.job},
                      {"participant", report.participant},
                      {"incarnation", report.incarnation},
                      {"outcome", std::string(to_string(report.outcome))},
                      {"failure", report.failure},
                      {"detail", report.detail},
                      {"figures", to_value(report.figures)},
                      {"progress", std::move(progress)},
                      {"tasks", report.tasks},
                      {"late_results", report.late_results}};
}

tl::expected<PartReport, std::string> part_report_from(const Value& value) {
    try {
        PartReport report;
        report.job = text_at(value, "job");
        report.participant = text_at(value, "participant");
        report.incarnation = static_cast<int>(integer_at(value, "incarnation"));
        const auto outcome = part_outcome_from(text_at(value, "outcome"));
        if (!outcome) throw std::invalid_argument("the report's outcome is none");
        report.outcome = *outcome;
        report.failure = text_at(value, "failure");
        report.detail = text_at(value, "detail");
        report.figures = figures_from(member(value, "figures"));
        report.progress = lines_from(member(value, "progress"));
        report.tasks = integer_at(value, "tasks");
        report.late_results = integer_at(value, "late_results");
        return report;
    } catch (const std::invalid_argument& error) {
        return tl::unexpected(std::string(error.what()));
    }
}

tl::expected<void, Failure> write_report(const std::filesystem::path& workspace, const PartReport& report) {
    return write_whole_file(workspace / kReportFile, to_json(to_value(report)) + "\n");
}

}  // namespace rankexec::job
