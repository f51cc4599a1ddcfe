// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/store/record_changes.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "rankexec/core/job/model/job_definition.hpp"
#include "rankexec/core/job/store/job_files.hpp"

namespace rankexec::job {
namespace {

using Kind = StoreError::Kind;

constexpr std::size_t kMostToken = 128;

std::string joined(const std::vector<JobStatus>& statuses) {
    std::string text;
    for (const auto status : statuses) text += (text.empty() ? "" : " or ") + std::string(to_string(status));
    return text;
}

bool is_token(const std::string& text) {
    return text.size() <= kMostToken &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

}  // namespace

std::optional<StoreError> objection_to(const JobStore::NewJob& job) {
    const auto refused = [](const char* what, const std::string& text, const std::string& why) {
        return StoreError{Kind::refused, "\"" + text + "\" is no " + what + ": " + why, {}};
    };
    if (const auto why = name_error(job.id); !job.id.empty() && !why.empty())
        return refused("id of a job", job.id, why);
    if (const auto why = name_error(job.name); !why.empty()) return refused("name of a job", job.name, why);
    if (const auto why = name_error(job.submitter); !job.submitter.empty() && !why.empty()) {
        return refused("name of a submitter", job.submitter, why);
    }
    if (!is_token(job.token)) {
        return refused("token", job.token, "it may have up to 128 characters of printable ASCII, without spaces");
    }
    return std::nullopt;
}

JobRecord new_record(const JobStore::NewJob& job, std::int64_t bundle_bytes, WallTime now) {
    JobRecord record;
    record.id = job.id.empty() ? random_id() : job.id;
    record.name = job.name;
    record.submitter = job.submitter;
    record.token = job.token;
    record.digest = job.digest;
    record.bundle_bytes = bundle_bytes;
    record.submitted_at = now;
    return record;
}

Stored<JobRecord> changed(JobRecord record, const StatusChange& change, WallTime now) {
    const auto conflict = [&](const std::string& why) {
        return tl::unexpected(StoreError{Kind::conflict,
                                         "job " + record.id + " is " + std::string(to_string(record.status)) + why +
                                             " and does not become " + std::string(to_string(change.to)),
                                         record.status});
    };
    if (std::find(change.from.begin(), change.from.end(), record.status) == change.from.end()) {
        return conflict(change.from.empty() ? "" : ", not " + joined(change.from) + ",");
    }
    if (!may_follow(record.status, change.to)) return conflict("");
    record.status = change.to;
    ++record.version;
    record.reason = shortened(change.reason);
    if (change.deploy_detail) {
        record.deploy_detail = *change.deploy_detail;
        for (auto& outcome : record.deploy_detail) outcome.detail = shortened(std::move(outcome.detail));
    }
    if (change.sites) record.sites = *change.sites;
    if (change.to == JobStatus::running) record.started_at = now;
    if (is_final(change.to) && record.started_at) {
        // The clock may have been set back meanwhile.
        record.duration = std::max(now - *record.started_at, std::chrono::milliseconds::zero());
    }
    return record;
}

void count_attempt(JobRecord& record, const ScheduleAttempt& attempt) {
    ++record.attempt_count;
    record.reason = shortened(attempt.outcome);
    record.attempts.push_back({attempt.at, record.reason});
    if (record.attempts.size() > JobRecord::kMostAttemptsKept) record.attempts.erase(record.attempts.begin());
}

std::string shortened(std::string text) {
    constexpr std::string_view kMark = " [...]";
    if (text.size() <= JobStore::kMostTextBytes) return text;
    auto end = JobStore::kMostTextBytes - kMark.size();
    // Not within a character of UTF-8.
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    text.resize(end);
    return text.append(kMark);
}

JobEvent shortened(JobEvent event) {
    event.type = shortened(std::move(event.type));
    event.text = shortened(std::move(event.text));
    return event;
}

tl::unexpected<StoreError> unknown_job(const std::string& id) {
    return tl::unexpected(StoreError{Kind::unknown_job, "there is no job \"" + id + "\"", {}});
}

tl::unexpected<StoreError> exists_already(const std::string& id) {
    return tl::unexpected(StoreError{Kind::exists, "there is a job " + id + " already", {}});
}

tl::unexpected<StoreError> over_already(const JobRecord& record, const std::string& what) {
    return tl::unexpected(StoreError{
        Kind::conflict, "job " + record.id + " is " + std::string(to_string(record.status)) + "; it gets no " + what,
        record.status});
}

tl::unexpected<StoreError> still_active(const JobRecord& record) {
    return tl::unexpected(StoreError{
        Kind::refused,
        "job " + record.id + " is " + std::string(to_string(record.status)) + "; abort it before it is deleted",
        record.status});
}

tl::unexpected<StoreError> file_missing(const JobRecord& record, const std::string& which) {
    return tl::unexpected(StoreError{Kind::refused, "job " + record.id + " has no " + which, record.status});
}

}  // namespace rankexec::job
