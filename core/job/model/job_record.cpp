// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/model/job_record.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "rankexec/core/job/model/value_reader.hpp"

namespace rankexec::job {
namespace {

constexpr std::int64_t kLatest = 253402300799999;  // the end of the year 9999, in milliseconds

Value number_of(WallTime time) { return static_cast<std::int64_t>(time.time_since_epoch().count()); }

WallTime time_of(const ValueReader& reader, std::string_view key) {
    return WallTime(std::chrono::milliseconds(reader.integer(key, 0, kLatest)));
}

Value texts(const std::vector<std::string>& list) { return Value::Array(list.begin(), list.end()); }

}  // namespace

WallTime wall_now() noexcept {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

std::string to_text(WallTime time) {
    // What no calendar of four digits has is shown as the last moment that it has, or the first.
    const std::chrono::milliseconds since(std::clamp<std::int64_t>(time.time_since_epoch().count(), 0, kLatest));
    const WallTime shown(since);
    const auto day = std::chrono::floor<std::chrono::days>(shown);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(shown - day);
    char text[64];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                  static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
    return text;
}

Value to_value(const ScheduleAttempt& attempt) {
    Value value;
    value["at"] = number_of(attempt.at);
    value["outcome"] = attempt.outcome;
    return value;
}

Value to_value(const DeployOutcome& outcome) {
    Value value;
    value["participant"] = outcome.participant;
    value["ok"] = outcome.ok;
    value["detail"] = outcome.detail;
    return value;
}

Value to_value(const JobEvent& event) {
    Value value;
    value["at"] = number_of(event.at);
    value["type"] = event.type;
    value["text"] = event.text;
    return value;
}

Value to_value(const JobRecord& record) {
    Value::Array attempts;
    for (const auto& attempt : record.attempts) attempts.push_back(to_value(attempt));
    Value::Array deploy_detail;
    for (const auto& outcome : record.deploy_detail) deploy_detail.push_back(to_value(outcome));
    Value value;
    value["id"] = record.id;
    value["name"] = record.name;
    value["submitter"] = record.submitter;
    value["token"] = record.token;
    value["status"] = to_string(record.status);
    value["version"] = record.version;
    value["digest"] = record.digest;
    value["bundle_bytes"] = record.bundle_bytes;
    value["submitted_at"] = number_of(record.submitted_at);
    value["started_at"] = record.started_at ? number_of(*record.started_at) : Value();
    value["duration_ms"] = record.duration ? Value(static_cast<std::int64_t>(record.duration->count())) : Value();
    value["attempts"] = std::move(attempts);
    value["attempt_count"] = record.attempt_count;
    value["deploy_detail"] = std::move(deploy_detail);
    value["sites"] = texts(record.sites);
    value["reason"] = record.reason;
    value["incarnation"] = record.incarnation;
    return value;
}

ScheduleAttempt schedule_attempt_from(const Value& value) {
    const ValueReader reader(value, "schedule attempt");
    return {time_of(reader, "at"), reader.text("outcome")};
}

DeployOutcome deploy_outcome_from(const Value& value) {
    const ValueReader reader(value, "deploy outcome");
    return {reader.text("participant"), reader.boolean("ok"), reader.text("detail")};
}

JobEvent job_event_from(const Value& value) {
    const ValueReader reader(value, "job event");
    return {time_of(reader, "at"), reader.text("type"), reader.text("text")};
}

JobRecord job_record_from(const Value& value) {
    const ValueReader reader(value, "job record");
    JobRecord record;
    record.id = reader.text("id");
    record.name = reader.text("name");
    record.submitter = reader.text("submitter");
    record.token = reader.text("token");
    const auto status = job_status_from(std::string_view(reader.text("status")));
    if (!status) reader.fail("status", "is no status of a job: " + reader.text("status"));
    record.status = *status;
    record.version = reader.integer("version");
    record.digest = reader.text("digest");
    record.bundle_bytes = reader.integer("bundle_bytes");
    record.submitted_at = time_of(reader, "submitted_at");
    if (reader.has("started_at")) record.started_at = time_of(reader, "started_at");
    if (reader.has("duration_ms")) {
        record.duration = std::chrono::milliseconds(reader.integer("duration_ms", 0, kLatest));
    }
    for (const auto& attempt : reader.array("attempts")) record.attempts.push_back(schedule_attempt_from(attempt));
    record.attempt_count = reader.integer<int>("attempt_count");
    for (const auto& outcome : reader.array("deploy_detail")) {
        record.deploy_detail.push_back(deploy_outcome_from(outcome));
    }
    for (const auto& site : reader.array("sites")) {
        if (site.if_text() == nullptr) reader.fail("sites", "is no list of texts");
        record.sites.push_back(*site.if_text());
    }
    record.reason = reader.text("reason");
    record.incarnation = reader.integer<int>("incarnation");
    return record;
}

}  // namespace rankexec::job
