// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/model/job_status.hpp"

#include <array>
#include <cstddef>

namespace rankexec::job {
namespace {

using enum JobStatus;

constexpr std::size_t kStatuses = 11;
constexpr std::array<std::string_view, kStatuses> kNames{
    "submitted",           "approved", "dispatched",      "running",       "completed", "aborted",
    "execution_exception", "abnormal", "cannot_schedule", "failed_to_run", "abandoned"};

constexpr std::uint32_t bit(JobStatus status) { return 1U << static_cast<unsigned>(status); }
template <typename... Statuses>
constexpr std::uint32_t set_of(Statuses... statuses) {
    return (bit(statuses) | ...);
}

/// By status, what may follow it. A job fails while it is deployed before it is dispatched, and while it is started
/// after. Nothing follows a final status, and nothing leads back.
constexpr std::array<std::uint32_t, kStatuses> kFollowers{
    set_of(approved, dispatched, aborted, cannot_schedule, failed_to_run),  // submitted
    set_of(dispatched, aborted, cannot_schedule, failed_to_run),            // approved
    set_of(running, aborted, abnormal, failed_to_run, abandoned),           // dispatched
    set_of(completed, aborted, execution_exception, abnormal, abandoned),   // running
};

}  // namespace

std::string_view to_string(JobStatus status) noexcept {
    const auto number = static_cast<std::size_t>(status);
    return number < kStatuses ? kNames[number] : "unknown";
}

std::optional<JobStatus> job_status_from(std::string_view text) noexcept {
    for (std::size_t number = 0; number < kStatuses; ++number) {
        if (kNames[number] == text) return static_cast<JobStatus>(number);
    }
    return std::nullopt;
}

std::optional<JobStatus> job_status_from(std::int64_t number) noexcept {
    if (number < 0 || number >= static_cast<std::int64_t>(kStatuses)) return std::nullopt;
    return static_cast<JobStatus>(number);
}

bool may_follow(JobStatus from, JobStatus to) noexcept {
    const auto number = static_cast<std::size_t>(from);
    return number < kStatuses && static_cast<std::size_t>(to) < kStatuses && (kFollowers[number] & bit(to)) != 0;
}

}  // namespace rankexec::job
