// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "rankexec/core/job/store/job_store.hpp"

/// What the functions of a JobStore do to a record, for every form of it.
namespace rankexec::job {

/// Why there can be no such job; nothing: there can.
[[nodiscard]] std::optional<StoreError> objection_to(const JobStore::NewJob& job);

/// With the id that it asks for, or a new one.
[[nodiscard]] JobRecord new_record(const JobStore::NewJob& job, std::int64_t bundle_bytes, WallTime now);

/// The record after the change; a conflict when it cannot be made.
[[nodiscard]] Stored<JobRecord> changed(JobRecord record, const StatusChange& change, WallTime now);

void count_attempt(JobRecord& record, const ScheduleAttempt& attempt);

/// With its texts cut where they are longer than a store keeps them.
[[nodiscard]] JobEvent shortened(JobEvent event);
[[nodiscard]] std::string shortened(std::string text);

[[nodiscard]] tl::unexpected<StoreError> unknown_job(const std::string& id);
[[nodiscard]] tl::unexpected<StoreError> exists_already(const std::string& id);
/// For what has no use once the job is over, or (`remove`) while it runs.
[[nodiscard]] tl::unexpected<StoreError> over_already(const JobRecord& record, const std::string& what);
[[nodiscard]] tl::unexpected<StoreError> still_active(const JobRecord& record);
[[nodiscard]] tl::unexpected<StoreError> file_missing(const JobRecord& record, const std::string& which);

}  // namespace rankexec::job
