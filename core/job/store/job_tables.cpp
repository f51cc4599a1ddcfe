// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/store/job_tables.hpp"

#include <utility>

#include "rankexec/core/job/store/job_store.hpp"

namespace rankexec::job::sqlite {
namespace {

std::int64_t number_of(WallTime time) { return time.time_since_epoch().count(); }
WallTime time_of(std::int64_t number) { return WallTime(std::chrono::milliseconds(number)); }
std::int64_t number_of(JobStatus status) { return static_cast<std::int64_t>(status); }

std::optional<std::int64_t> started(const JobRecord& record) {
    if (!record.started_at) return std::nullopt;
    return number_of(*record.started_at);
}
std::optional<std::int64_t> duration(const JobRecord& record) {
    if (!record.duration) return std::nullopt;
    return record.duration->count();
}

JobRecord record_of(const Statement& row) {
    JobRecord record;
    record.id = row.text(1);
    record.name = row.text(2);
    record.submitter = row.text(3);
    record.token = row.text(4);
    const auto status = job_status_from(row.integer(5));
    if (!status)
        throw Error("job " + record.id + " has the status " + std::to_string(row.integer(5)) + ", which is none");
    record.status = *status;
    record.version = row.integer(6);
    record.digest = row.text(7);
    record.bundle_bytes = row.integer(8);
    record.submitted_at = time_of(row.integer(9));
    if (const auto at = row.optional_integer(10)) record.started_at = time_of(*at);
    if (const auto time = row.optional_integer(11)) record.duration = std::chrono::milliseconds(*time);
    record.attempt_count = static_cast<int>(row.integer(12));
    record.reason = row.text(13);
    record.incarnation = static_cast<int>(row.integer(14));
    return record;
}

constexpr std::string_view kColumns =
    "seq, id, name, submitter, token, status, version, digest, bundle_bytes, submitted_at, started_at, duration, "
    "attempt_count, reason, incarnation";

/// Whole tables, one after the other: four statements for any number of jobs.
JobTables::Records read_where(Database& database, const std::string& condition) {
    JobTables::Records records;
    Statement jobs(database, "SELECT " + std::string(kColumns) + " FROM jobs WHERE " + condition + " ORDER BY seq");
    while (jobs.step()) records.emplace_hint(records.end(), jobs.integer(0), record_of(jobs));
    const auto rows = [&](const char* columns, const char* table, auto&& take) {
        Statement statement(database, std::string("SELECT job, ") + columns + " FROM " + table +
                                          " WHERE job IN (SELECT seq FROM jobs WHERE " + condition +
                                          ") ORDER BY job, number");
        auto at = records.begin();
        while (statement.step()) {
            while (at->first != statement.integer(0)) ++at;  // both are in order
            take(at->second, statement);
        }
    };
    rows("at, outcome", "attempts", [](JobRecord& record, const Statement& row) {
        record.attempts.push_back({time_of(row.integer(1)), row.text(2)});
    });
    rows("participant, ok, detail", "deployments", [](JobRecord& record, const Statement& row) {
        record.deploy_detail.push_back({row.text(1), row.integer(2) != 0, row.text(3)});
    });
    rows("site", "sites", [](JobRecord& record, const Statement& row) { record.sites.push_back(row.text(1)); });
    return records;
}

}  // namespace

JobTables::JobTables(Database& database)
    : database_(database),
      insert_(database,
              "INSERT INTO jobs (id, name, submitter, token, status, version, digest, bundle_bytes, submitted_at, "
              "attempt_count, reason, incarnation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      update_(database,
              "UPDATE jobs SET status = ?, version = ?, started_at = ?, duration = ?, reason = ? "
              "WHERE seq = ? AND version = ?"),
      clear_deployments_(database, "DELETE FROM deployments WHERE job = ?"),
      put_deployment_(database, "INSERT INTO deployments VALUES (?, ?, ?, ?, ?)"),
      clear_sites_(database, "DELETE FROM sites WHERE job = ?"),
      put_site_(database, "INSERT INTO sites VALUES (?, ?, ?)"),
      add_attempt_(database, "INSERT INTO attempts VALUES (?, ?, ?, ?)"),
      forget_attempts_(database, "DELETE FROM attempts WHERE job = ? AND number <= ?"),
      set_attempts_(database, "UPDATE jobs SET attempt_count = ?, reason = ? WHERE seq = ?"),
      set_reason_(database, "UPDATE jobs SET reason = ? WHERE seq = ?"),
      set_incarnation_(database, "UPDATE jobs SET incarnation = ? WHERE seq = ?"),
      last_of_type_(database, "SELECT max(number_of_type) FROM events WHERE job = ? AND type = ?"),
      add_event_(database, "INSERT INTO events (job, type, number_of_type, at, text) VALUES (?, ?, ?, ?, ?)"),
      forget_events_(database, "DELETE FROM events WHERE job = ? AND type = ? AND number_of_type <= ?"),
      events_(database, "SELECT at, type, text FROM events WHERE job = ? ORDER BY number"),
      remove_(database, "DELETE FROM jobs WHERE seq = ?"),
      seq_of_(database, "SELECT seq FROM jobs WHERE id = ?"),
      with_token_(database, "SELECT id FROM jobs WHERE submitter = ? AND token = ? AND token <> ''"),
      all_ids_(database, "SELECT id FROM jobs") {}

std::int64_t JobTables::insert(const JobRecord& record) {
    insert_.begin()
        .bind(record.id)
        .bind(record.name)
        .bind(record.submitter)
        .bind(record.token)
        .bind(number_of(record.status))
        .bind(record.version)
        .bind(record.digest)
        .bind(record.bundle_bytes)
        .bind(number_of(record.submitted_at))
        .bind(std::int64_t{record.attempt_count})
        .bind(record.reason)
        .bind(std::int64_t{record.incarnation})
        .run();
    return database_.last_row();
}

bool JobTables::update(std::int64_t seq, std::int64_t version, const JobRecord& record) {
    update_.begin()
        .bind(number_of(record.status))
        .bind(record.version)
        .bind(started(record))
        .bind(duration(record))
        .bind(record.reason)
        .bind(seq)
        .bind(version)
        .run();
    return database_.changes() == 1;
}

void JobTables::put_deployments(std::int64_t seq, const std::vector<DeployOutcome>& outcomes) {
    clear_deployments_.begin().bind(seq).run();
    std::int64_t number = 0;
    for (const auto& outcome : outcomes) {
        put_deployment_.begin()
            .bind(seq)
            .bind(number++)
            .bind(outcome.participant)
            .bind(std::int64_t{outcome.ok ? 1 : 0})
            .bind(outcome.detail)
            .run();
    }
}

void JobTables::put_sites(std::int64_t seq, const std::vector<std::string>& sites) {
    clear_sites_.begin().bind(seq).run();
    std::int64_t number = 0;
    for (const auto& site : sites) put_site_.begin().bind(seq).bind(number++).bind(site).run();
}

void JobTables::count_attempt(std::int64_t seq, const JobRecord& record) {
    const auto& attempt = record.attempts.back();
    const std::int64_t number = record.attempt_count;
    add_attempt_.begin().bind(seq).bind(number).bind(number_of(attempt.at)).bind(attempt.outcome).run();
    forget_attempts_.begin().bind(seq).bind(number - static_cast<std::int64_t>(JobRecord::kMostAttemptsKept)).run();
    set_attempts_.begin().bind(number).bind(record.reason).bind(seq).run();
}

void JobTables::set_reason(std::int64_t seq, const std::string& reason) {
    set_reason_.begin().bind(reason).bind(seq).run();
}

void JobTables::set_incarnation(std::int64_t seq, int number) {
    set_incarnation_.begin().bind(std::int64_t{number}).bind(seq).run();
}

void JobTables::add_event(std::int64_t seq, const JobEvent& event) {
    last_of_type_.begin().bind(seq).bind(event.type);
    const auto number = (last_of_type_.step() ? last_of_type_.integer(0) : 0) + 1;
    last_of_type_.begin();
    add_event_.begin().bind(seq).bind(event.type).bind(number).bind(number_of(event.at)).bind(event.text).run();
    forget_events_.begin().bind(seq).bind(event.type).bind(number - JobStore::kMostEventsOfAType).run();
}

std::vector<JobEvent> JobTables::events(std::int64_t seq) {
    std::vector<JobEvent> events;
    events_.begin().bind(seq);
    while (events_.step()) events.push_back({time_of(events_.integer(0)), events_.text(1), events_.text(2)});
    return events;
}

void JobTables::remove(std::int64_t seq) { remove_.begin().bind(seq).run(); }

std::optional<std::int64_t> JobTables::seq_of(const std::string& id) {
    seq_of_.begin().bind(id);
    if (!seq_of_.step()) return std::nullopt;
    const auto seq = seq_of_.integer(0);
    seq_of_.begin();
    return seq;
}

std::optional<std::string> JobTables::id_with_token(const std::string& submitter, const std::string& token) {
    if (token.empty()) return std::nullopt;
    with_token_.begin().bind(submitter).bind(token);
    if (!with_token_.step()) return std::nullopt;
    auto id = with_token_.text(0);
    with_token_.begin();
    return id;
}

std::set<std::string> JobTables::all_ids() {
    std::set<std::string> ids;
    all_ids_.begin();
    while (all_ids_.step()) ids.insert(all_ids_.text(0));
    return ids;
}

JobTables::Records JobTables::read(const std::vector<JobStatus>& statuses) {
    std::string list;
    for (const auto status : statuses) list += (list.empty() ? "" : ", ") + std::to_string(number_of(status));
    return read_where(database_, "status IN (" + list + ")");
}

JobRecord JobTables::read_one(std::int64_t seq) {
    auto records = read_where(database_, "seq = " + std::to_string(seq));
    if (records.empty()) throw Error("job number " + std::to_string(seq) + " has disappeared");
    return std::move(records.begin()->second);
}

}  // namespace rankexec::job::sqlite
