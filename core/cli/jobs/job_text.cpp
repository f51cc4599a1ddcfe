// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/jobs/job_text.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "rankexec/core/cli/table.hpp"
#include "rankexec/core/job/model/resources.hpp"
#include "rankexec/core/model/printable.hpp"

namespace rankexec::cli {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kLongestReason = 400;
constexpr std::size_t kLongestCell = 70;
constexpr std::size_t kLines = 12;  ///< of a list that may have thousands

std::string cut(const std::string& text, std::size_t longest) { return printable(text, longest); }

std::string joined(const std::vector<std::string>& names) {
    std::string all;
    for (const auto& name : names) all += (all.empty() ? "" : ", ") + name;
    return cut(all, kLongestCell);
}

std::string text_of(const Value& map, std::string_view key) {
    const auto* value = map.find(key);
    return value == nullptr ? std::string() : value->text_or("");
}

const Value::Array& array_in(const Value& map, std::string_view key) {
    static const Value::Array none;
    const auto* value = map.find(key);
    const auto* array = value == nullptr ? nullptr : value->if_array();
    return array == nullptr ? none : *array;
}

milliseconds run_time(const job::JobRecord& record, job::WallTime now) {
    if (record.duration) return *record.duration;
    return record.started_at ? now - *record.started_at : milliseconds(0);
}

/// Empty where it says no more than the status does.
std::string reason_of(const job::JobRecord& record, std::size_t longest) {
    return record.reason == to_string(record.status) ? std::string() : cut(record.reason, longest);
}

std::string line(const std::string& label, const std::string& text) {
    constexpr std::size_t kWidth = 12;
    return label + std::string(label.size() < kWidth ? kWidth - label.size() : 1, ' ') + text + "\n";
}

std::string attempts_text(const job::JobRecord& record, job::WallTime now) {
    std::string text;
    if (record.attempt_count == 0) return text;
    text += line("attempts", std::to_string(record.attempt_count) + ", the last:");
    const auto shown = std::min<std::size_t>(record.attempts.size(), 5);
    for (auto attempt = record.attempts.end() - static_cast<std::ptrdiff_t>(shown); attempt != record.attempts.end();
         ++attempt) {
        text += line("", span_text(now - attempt->at) + " ago: " + cut(attempt->outcome, kLongestReason));
    }
    return text;
}

std::string deployed_text(const job::JobRecord& record) {
    std::string text;
    for (const auto& one : record.deploy_detail) {
        if (!one.ok) text += line("", cut(one.participant, kLongestCell) + ": " + cut(one.detail, kLongestReason));
    }
    return text.empty() ? text : "not deployed\n" + text;
}

std::string participants_text(const Value& shown) {
    const auto& participants = array_in(shown, "participants");
    if (participants.empty()) return {};
    Table table({"PARTICIPANT", "STATE", "DETAIL"});
    for (const auto& one : participants) {
        table.add_row({cut(text_of(one, "name"), kLongestCell), cut(text_of(one, "state"), kLongestCell),
                       cut(text_of(one, "detail"), kLongestCell)});
    }
    return "\n" + table.text();
}

/// The last of them.
std::string lines_text(const char* heading, const std::vector<std::string>& lines) {
    if (lines.empty()) return {};
    std::string text = std::string("\n") + heading;
    const auto first = lines.size() > kLines ? lines.size() - kLines : 0;
    if (first > 0) text += " (the last " + std::to_string(kLines) + " of " + std::to_string(lines.size()) + ")";
    text += "\n";
    for (auto index = first; index < lines.size(); ++index) text += "  " + lines[index] + "\n";
    return text;
}

std::string progress_text(const Value& shown) {
    std::vector<std::string> lines;
    for (const auto& one : array_in(shown, "progress")) lines.push_back(cut(one.text_or(""), kLongestReason));
    return lines_text("progress", lines);
}

std::string figures_text(const Value& shown) {
    const auto* figures = shown.find("figures");
    const auto* series = figures == nullptr ? nullptr : figures->if_map();
    if (series == nullptr || series->empty()) return {};
    Table table({"FIGURE", "STEP", "LAST", "BEST", "WORST"});
    for (const auto& [name, points] : *series) {
        const auto* list = points.if_array();
        if (list == nullptr || list->empty()) continue;
        const auto value = [](const Value& point) {
            const auto* pair = point.if_array();
            return pair != nullptr && pair->size() == 2 ? (*pair)[1].real_or(0) : 0.0;
        };
        const auto [lowest, highest] = std::ranges::minmax_element(*list, {}, value);
        const auto* last = list->back().if_array();
        const auto step = last != nullptr && !last->empty() ? last->front().integer_or(0) : 0;
        table.add_row({cut(name, kLongestCell), std::to_string(step), format_metric(value(list->back())),
                       format_metric(value(*highest)), format_metric(value(*lowest))});
    }
    return "\n" + table.text();
}

std::string history_text(const Value& shown) {
    std::vector<std::string> lines;
    for (const auto& event : array_in(shown, "events")) {
        auto text = cut(text_of(event, "at"), kLongestCell) + "  " + cut(text_of(event, "type"), kLongestCell);
        const auto said = cut(text_of(event, "text"), kLongestReason);
        lines.push_back(text + (said.empty() ? "" : ": " + said));
    }
    return lines_text("history", lines);
}

std::string gpus_text(const job::ResourceState& state) {
    const auto free = std::ranges::count_if(state.gpus, [](const auto& gpu) { return gpu.free; });
    return std::to_string(free) + "/" + std::to_string(state.gpus.size());
}

}  // namespace

std::string span_text(milliseconds span) {
    const auto seconds = std::max<std::int64_t>(span.count() / 1000, 0);
    struct Unit {
        std::int64_t seconds;
        const char* name;
    };
    static constexpr std::array kUnits{Unit{86'400, " d"}, Unit{3'600, " h"}, Unit{60, " min"}, Unit{1, " s"}};
    for (std::size_t unit = 0; unit < kUnits.size(); ++unit) {
        const auto count = seconds / kUnits[unit].seconds;
        if (count == 0 && unit + 1 < kUnits.size()) continue;
        auto text = std::to_string(count) + kUnits[unit].name;
        if (unit + 1 == kUnits.size()) return text;
        const auto rest = seconds % kUnits[unit].seconds / kUnits[unit + 1].seconds;
        if (rest > 0) text += " " + std::to_string(rest) + kUnits[unit + 1].name;
        return text;
    }
    return {};
}

std::string short_id(const std::string& job) { return printable(job.substr(0, 8), kLongestCell); }

std::string job_table(const std::vector<job::JobRecord>& jobs, job::WallTime now) {
    if (jobs.empty()) return "no jobs\n";
    Table table({"JOB", "NAME", "STATUS", "AGE", "RAN", "SITES", "BY", "WHY"});
    for (const auto& record : jobs) {
        const auto ran = run_time(record, now);
        table.add_row({short_id(record.id), cut(record.name, kLongestName), std::string(to_string(record.status)),
                       span_text(now - record.submitted_at), record.started_at ? span_text(ran) : "-",
                       record.sites.empty() ? "-" : joined(record.sites),
                       record.submitter.empty() ? "-" : cut(record.submitter, kLongestName),
                       reason_of(record, kLongestCell)});
    }
    return table.text();
}

std::string job_page(const job::JobRecord& record, const Value& shown, job::WallTime now) {
    std::string text = "job " + printable(record.id, kLongestCell) + "  " + cut(record.name, kLongestCell) + "\n";
    auto status = std::string(to_string(record.status));
    if (record.started_at) status += " for " + span_text(run_time(record, now));
    if (record.duration) status = std::string(to_string(record.status)) + " after " + span_text(*record.duration);
    text += line("status", status);
    const bool waits = !is_final(record.status) && !is_active(record.status);
    if (const auto reason = reason_of(record, kLongestReason); !reason.empty()) {
        text += line(waits ? "waits" : "why", reason);
    }
    text += line("submitted", span_text(now - record.submitted_at) + " ago, " + job::to_text(record.submitted_at) +
                                  (record.submitter.empty() ? "" : ", by " + cut(record.submitter, kLongestCell)));
    if (!record.sites.empty()) text += line("sites", joined(record.sites));
    if (record.incarnation > 1) text += line("starts", std::to_string(record.incarnation));
    text += line("bundle", std::to_string(record.bundle_bytes) + " bytes, " + cut(record.digest, kLongestCell));
    text += attempts_text(record, now) + deployed_text(record);
    return text + participants_text(shown) + progress_text(shown) + figures_text(shown) + history_text(shown);
}

std::string end_line(const job::JobRecord& record) {
    auto text = "job " + short_id(record.id) + " (" + cut(record.name, kLongestCell) + ") " +
                std::string(to_string(record.status));
    if (record.duration) text += " after " + span_text(*record.duration);
    if (const auto reason = reason_of(record, kLongestReason); !reason.empty()) text += ": " + reason;
    return text + "\n";
}

std::string sites_table(const Value& overview) {
    const auto& sites = array_in(overview, "sites");
    if (sites.empty()) return "no site has connected yet\n";
    Table table({"SITE", "STATE", "GPUS FREE", "CORES FREE", "MIB FREE", "BACKEND", "JOBS"});
    for (const auto& site : sites) {
        job::ResourceState state;
        if (const auto* resources = site.find("resources")) {
            try {
                state = job::resource_state_from(*resources);
            } catch (const std::exception&) {  // of a site that was never there
            }
        }
        std::vector<std::string> jobs;
        for (const auto& one : array_in(site, "jobs")) jobs.push_back(short_id(one.text_or("")));
        const auto* connected = site.find("connected");
        table.add_row({cut(text_of(site, "name"), kLongestName),
                       connected != nullptr && connected->boolean_or(false) ? "connected" : "lost", gpus_text(state),
                       std::to_string(state.free_cores) + "/" + std::to_string(state.cores),
                       std::to_string(state.free_memory_mib) + "/" + std::to_string(state.memory_mib),
                       cut(text_of(site, "backend"), kLongestName), jobs.empty() ? "-" : joined(jobs)});
    }
    return table.text();
}

}  // namespace rankexec::cli
