// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "rankexec/core/job/model/job_record.hpp"
#include "rankexec/core/job/store/sqlite.hpp"

namespace rankexec::job::sqlite {

/// The statements of the store, prepared once. Throws Error. Nothing here begins or ends a transaction. `seq` is a
/// job's number in its table.
class JobTables {
public:
    explicit JobTables(Database& database);

    [[nodiscard]] std::int64_t insert(const JobRecord& record);
    /// Takes over what a status change may touch, if the job still has `version`; false: it has not.
    [[nodiscard]] bool update(std::int64_t seq, std::int64_t version, const JobRecord& record);
    /// The lists of a record beside its row; replace what is there.
    void put_deployments(std::int64_t seq, const std::vector<DeployOutcome>& outcomes);
    void put_sites(std::int64_t seq, const std::vector<std::string>& sites);

    void count_attempt(std::int64_t seq, const JobRecord& record);
    void set_reason(std::int64_t seq, const std::string& reason);
    void set_incarnation(std::int64_t seq, int number);
    void add_event(std::int64_t seq, const JobEvent& event);
    [[nodiscard]] std::vector<JobEvent> events(std::int64_t seq);
    /// And all that refers to it.
    void remove(std::int64_t seq);

    [[nodiscard]] std::optional<std::int64_t> seq_of(const std::string& id);
    [[nodiscard]] std::optional<std::string> id_with_token(const std::string& submitter, const std::string& token);
    [[nodiscard]] std::set<std::string> all_ids();
    /// Those whose status is in `statuses`, by seq.
    using Records = std::map<std::int64_t, JobRecord>;
    [[nodiscard]] Records read(const std::vector<JobStatus>& statuses);
    [[nodiscard]] JobRecord read_one(std::int64_t seq);

private:
    Database& database_;
    Statement insert_;
    Statement update_;
    Statement clear_deployments_;
    Statement put_deployment_;
    Statement clear_sites_;
    Statement put_site_;
    Statement add_attempt_;
    Statement forget_attempts_;
    Statement set_attempts_;
    Statement set_reason_;
    Statement set_incarnation_;
    Statement last_of_type_;
    Statement add_event_;
    Statement forget_events_;
    Statement events_;
    Statement remove_;
    Statement seq_of_;
    Statement with_token_;
    Statement all_ids_;
};

}  // namespace rankexec::job::sqlite
