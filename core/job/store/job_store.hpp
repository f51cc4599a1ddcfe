// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/model/job_record.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/value.hpp"

namespace rankexec::job {

struct RANKEXEC_EXPORT StoreError {
    enum class Kind : std::uint8_t {
        unknown_job,
        exists,    ///< a job of that id
        conflict,  ///< the status is not the expected one any more, or the change is not in the table
        refused,   ///< a name that is none, a bundle over the limit, deleting an active job
        unusable,  ///< the store itself: disk full, database locked or broken
    };
    Kind kind = Kind::unusable;
    std::string message;              ///< what, where, what to do
    std::optional<JobStatus> status;  ///< of a conflict: the one that the job has
};
template <typename T>
using Stored = tl::expected<T, StoreError>;

/// What a status change records beside the status.
struct RANKEXEC_EXPORT StatusChange {
    std::vector<JobStatus> from;  ///< the change is made only if the job has one of these
    JobStatus to = JobStatus::submitted;
    std::string reason;                                       ///< replaces the job's
    std::optional<std::vector<DeployOutcome>> deploy_detail;  ///< replaces it when given
    std::optional<std::vector<std::string>> sites;            ///< likewise
};

/// Jobs, their statuses, history, bundles and results. Every function is atomic and durable when it returns: after a
/// SIGKILL at any moment the store holds either all of a change or nothing. Any thread.
class RANKEXEC_EXPORT JobStore {
public:
    static constexpr std::int64_t kMostEventsOfAType = 5'000;
    /// Longer reasons, outcomes, details and texts of events are cut.
    static constexpr std::size_t kMostTextBytes = 4'096;

    virtual ~JobStore();

    struct NewJob {
        std::string id;  ///< empty: the store gives one
        std::string name;
        std::string submitter;
        std::string token;  ///< empty: none. The job that has submitter and token already is returned as it is.
        std::string digest;
    };
    /// Keeps the bundle, a file, by a link to it or a copy: the caller's own name for it stays, but nobody may write to
    /// it any more. Stamps id and time; status submitted.
    virtual Stored<JobRecord> create(const NewJob& job, const std::filesystem::path& bundle) = 0;

    [[nodiscard]] virtual Stored<JobRecord> get(const std::string& id) const = 0;
    /// Oldest first. `statuses` empty: all.
    [[nodiscard]] virtual Stored<std::vector<JobRecord>> list(const std::vector<JobStatus>& statuses = {}) const = 0;

    /// Compare and set. Records start and duration with the first `running` and the final status.
    virtual Stored<JobRecord> change_status(const std::string& id, const StatusChange& change) = 0;
    /// Counts the attempt; does not touch the status. `reason` of the job becomes its outcome. Only for jobs without a
    /// final status, as the next two.
    virtual Stored<void> add_attempt(const std::string& id, const ScheduleAttempt& attempt) = 0;
    virtual Stored<void> set_reason(const std::string& id, const std::string& reason) = 0;
    /// The next incarnation's number.
    virtual Stored<int> next_incarnation(const std::string& id) = 0;

    /// Of each type the latest kMostEventsOfAType of a job are kept: a part that floods its job's history costs the
    /// others nothing.
    virtual Stored<void> add_event(const std::string& id, const JobEvent& event) = 0;
    [[nodiscard]] virtual Stored<std::vector<JobEvent>> events(const std::string& id) const = 0;

    /// What a restored run goes on from; the newest replaces the one before. Is gone when the job gets its final
    /// status; from then on a conflict.
    virtual Stored<void> save_snapshot(const std::string& id, const Bytes& snapshot) = 0;
    [[nodiscard]] virtual Stored<std::optional<Bytes>> snapshot(const std::string& id) const = 0;

    /// The files: the bundle; and the archived workspace, once save_workspace() has kept it, as create() keeps the
    /// bundle. They are there until the job is removed. Refused while there is none.
    [[nodiscard]] virtual Stored<std::filesystem::path> bundle(const std::string& id) const = 0;
    virtual Stored<void> save_workspace(const std::string& id, const std::filesystem::path& archive) = 0;
    [[nodiscard]] virtual Stored<std::filesystem::path> workspace(const std::string& id) const = 0;

    /// The job and all of its files. Refused while it is active.
    virtual Stored<void> remove(const std::string& id) = 0;
};

}  // namespace rankexec::job
