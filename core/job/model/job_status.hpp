// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// Where a job stands. The numbers are stored in databases: they never change.
enum class JobStatus : std::uint8_t {
    submitted = 0,   ///< waits for its turn
    approved = 1,    ///< as submitted, after a person or a policy has allowed it
    dispatched = 2,  ///< its parts are on their sites, and are being started
    running = 3,
    // Final from here on.
    completed = 4,
    aborted = 5,              ///< on somebody's request
    execution_exception = 6,  ///< a part reported that it failed
    abnormal = 7,             ///< a part was killed or lost without a report, or the controller was
    cannot_schedule = 8,      ///< all attempts used up, or the job can never be scheduled
    failed_to_run = 9,        ///< deploying or starting it failed
    abandoned = 10,           ///< it ran when the controller ended, and could not be restored
};

[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(JobStatus status) noexcept;
[[nodiscard]] RANKEXEC_EXPORT std::optional<JobStatus> job_status_from(std::string_view text) noexcept;
[[nodiscard]] RANKEXEC_EXPORT std::optional<JobStatus> job_status_from(std::int64_t number) noexcept;

/// Whether nothing follows it.
[[nodiscard]] constexpr bool is_final(JobStatus status) noexcept { return status >= JobStatus::completed; }
/// Whether the job holds a slot and resources of sites.
[[nodiscard]] constexpr bool is_active(JobStatus status) noexcept {
    return status == JobStatus::dispatched || status == JobStatus::running;
}
/// The table of changes: what no store may record is not in it.
[[nodiscard]] RANKEXEC_EXPORT bool may_follow(JobStatus from, JobStatus to) noexcept;

}  // namespace rankexec::job
