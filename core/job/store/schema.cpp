// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/store/schema.hpp"

#include <array>
#include <string>

namespace rankexec::job::sqlite {
namespace {

constexpr std::int64_t kApplicationId = 0x72786A62;  // "rxjb": tells our databases from others

// Times are in milliseconds since 1970, statuses are the numbers of JobStatus. Jobs are ordered by seq, whatever the
// clock did; AUTOINCREMENT never gives one again.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    submitter TEXT NOT NULL,
    token TEXT NOT NULL,
    status INTEGER NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    bundle_bytes INTEGER NOT NULL,
    submitted_at INTEGER NOT NULL,
    started_at INTEGER,
    duration INTEGER,
    attempt_count INTEGER NOT NULL,
    reason TEXT NOT NULL,
    incarnation INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX jobs_by_token ON jobs (submitter, token) WHERE token <> '';
CREATE INDEX jobs_by_status ON jobs (status);
CREATE TABLE attempts (
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE deployments (
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    participant TEXT NOT NULL,
    ok INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE sites (
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    site TEXT NOT NULL,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    type TEXT NOT NULL,
    number_of_type INTEGER NOT NULL,
    at INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_by_type ON events (job, type, number_of_type);
)sql";

/// From version N to N + 1, by N. Never change one: databases have it.
constexpr std::array kSteps{kVersion1};

}  // namespace

void prepare_schema(Database& database) {
    const auto version = database.single_integer("PRAGMA user_version");
    const auto application = database.single_integer("PRAGMA application_id");
    const bool empty = database.single_integer("SELECT count(*) FROM sqlite_schema") == 0;
    if (!empty && application != kApplicationId) throw Error("the database is not one of jobs");
    if (version < 0 || version > static_cast<std::int64_t>(kSteps.size())) {
        throw Error("the database of jobs has version " + std::to_string(version) +
                    ", this program knows those up to " + std::to_string(kSteps.size()) + "; use the newer program");
    }
    for (auto next = static_cast<std::size_t>(version); next < kSteps.size(); ++next) {
        Transaction transaction(database);
        database.execute("PRAGMA application_id = " + std::to_string(kApplicationId));
        database.execute(kSteps.at(next));
        database.execute("PRAGMA user_version = " + std::to_string(next + 1));
        transaction.commit();
    }
}

}  // namespace rankexec::job::sqlite
