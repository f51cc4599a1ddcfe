// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/job/model/job_status.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/value.hpp"

namespace rankexec::job {

/// Wall-clock time, as people and databases have it: milliseconds since 1970, UTC.
using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;
[[nodiscard]] RANKEXEC_EXPORT WallTime wall_now() noexcept;
/// "2026-11-22T13:05:48.123Z"
[[nodiscard]] RANKEXEC_EXPORT std::string to_text(WallTime time);

/// One attempt to schedule a job.
struct RANKEXEC_EXPORT ScheduleAttempt {
    WallTime at;
    std::string outcome;  ///< "dispatched to a, b", or what was missing
    friend bool operator==(const ScheduleAttempt&, const ScheduleAttempt&) = default;
};

/// What became of a job at one participant while it was deployed and started.
struct RANKEXEC_EXPORT DeployOutcome {
    std::string participant;  ///< a site, or "controller"
    bool ok = false;
    std::string detail;  ///< why not
    friend bool operator==(const DeployOutcome&, const DeployOutcome&) = default;
};

/// A job as the store knows it. A value: what has been read does not change with the store.
struct RANKEXEC_EXPORT JobRecord {
    std::string id;         ///< 32 hexadecimal digits, given by the store
    std::string name;       ///< from its definition
    std::string submitter;  ///< name of the user's key; empty: the machine's own user (embedded)
    std::string token;      ///< by the submitter; the same token twice is the same job
    JobStatus status = JobStatus::submitted;
    std::int64_t version = 0;  ///< counts changes of the status
    std::string digest;        ///< of the bundle: BLAKE2b-256, hexadecimal
    std::int64_t bundle_bytes = 0;
    WallTime submitted_at;
    std::optional<WallTime> started_at;                 ///< it has become running
    std::optional<std::chrono::milliseconds> duration;  ///< from then to its final status
    std::vector<ScheduleAttempt> attempts;              ///< the latest kMostAttemptsKept
    int attempt_count = 0;
    std::vector<DeployOutcome> deploy_detail;  ///< of the last deployment
    std::vector<std::string> sites;            ///< that have a part of it, once it is dispatched
    std::string reason;                        ///< why it waits, or why it ended as it did; a sentence for people
    int incarnation = 0;                       ///< of its run: counts how often the controller part was started

    static constexpr std::size_t kMostAttemptsKept = 20;
    friend bool operator==(const JobRecord&, const JobRecord&) = default;
};

/// An entry of a job's history.
struct RANKEXEC_EXPORT JobEvent {
    WallTime at;
    std::string type;  ///< "submitted", "deployed_to_site", "started", ...; as the runner's events
    std::string text;
    friend bool operator==(const JobEvent&, const JobEvent&) = default;
};

/// For messages between processes and for databases. A record keeps every field, its token too.
[[nodiscard]] RANKEXEC_EXPORT Value to_value(const ScheduleAttempt& attempt);
[[nodiscard]] RANKEXEC_EXPORT Value to_value(const DeployOutcome& outcome);
[[nodiscard]] RANKEXEC_EXPORT Value to_value(const JobRecord& record);
[[nodiscard]] RANKEXEC_EXPORT Value to_value(const JobEvent& event);
/// Throw std::invalid_argument that names the field.
[[nodiscard]] RANKEXEC_EXPORT ScheduleAttempt schedule_attempt_from(const Value& value);
[[nodiscard]] RANKEXEC_EXPORT DeployOutcome deploy_outcome_from(const Value& value);
[[nodiscard]] RANKEXEC_EXPORT JobRecord job_record_from(const Value& value);
[[nodiscard]] RANKEXEC_EXPORT JobEvent job_event_from(const Value& value);

}  // namespace rankexec::job
