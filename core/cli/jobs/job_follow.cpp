// SPDX-License-Identifier: Apache-2.0
// Waiting for jobs, and what comes out of them.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/cli/jobs/job_actions.hpp"
#include "rankexec/core/cli/jobs/job_text.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/model/topics.hpp"

namespace rankexec::cli {
namespace {

namespace fs = std::filesystem;
namespace topic = job::topic;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// What the controller may wait with an answer for something to happen.
constexpr milliseconds kLongestWait{30'000};
/// Where it has answered at once that there is no more: before the next question.
constexpr milliseconds kPause{500};

int print_record(const job::JobRecord& record, bool json) {
    return print_text(json ? to_json(to_value(record)) + "\n" : end_line(record));
}

const Bytes& bytes_in(const Shareable& reply) {
    static const Bytes none;
    const auto* bytes = reply.body.if_bytes();
    return bytes == nullptr ? none : *bytes;
}

int write_output(const Bytes& bytes) {
    return print_text(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

/// A file that goes with this, unless it has another name by then.
struct PartialFile {
    explicit PartialFile(fs::path file) : path(std::move(file)) {}
    PartialFile(const PartialFile&) = delete;
    PartialFile& operator=(const PartialFile&) = delete;
    ~PartialFile() {
        std::error_code ignored;
        fs::remove(path, ignored);
    }
    const fs::path path;
};

/// The whole archive, by way of a name that it has only until it is complete. Throws JobError.
void fetch(JobClient& client, const std::string& job, const fs::path& archive) {
    const PartialFile partial(archive.string() + "." + random_run_id() + ".part");
    std::ofstream file(partial.path, std::ios::binary | std::ios::trunc);
    if (!file) {
        const auto folder = archive.has_parent_path() ? archive.parent_path().string() : std::string(".");
        throw JobError("nothing can be written in " + folder + ": is it a folder, and may you write there?",
                       kExitFailure);
    }
    std::int64_t have = 0;
    std::int64_t size = -1;
    while (size < 0 || have < size) {
        const auto reply = client.ask(topic::kDownload, {{"job", job}, {"offset", have}});
        size = number_in(reply, "bytes");
        const auto& piece = bytes_in(reply);
        file.write(reinterpret_cast<const char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
        have += static_cast<std::int64_t>(piece.size());
        if (piece.empty() && have < size) throw JobError("the controller sends no more of the results", kExitFailure);
    }
    file.close();
    std::error_code error;
    if (file) fs::rename(partial.path, archive, error);
    if (file && !error) return;
    throw JobError("the results cannot be written to " + archive.string() + "; is there room on the disk?",
                   kExitFailure);
}

void unpack(const fs::path& archive, const fs::path& folder) {
    // What a job leaves may be larger than what it was submitted with.
    job::BundleLimits limits;
    limits.max_bytes = std::int64_t{1} << 40U;
    limits.max_entries = 10'000'000;
    const auto unpacked = job::unpack_bundle(archive, folder, limits);
    std::error_code ignored;
    fs::remove(archive, ignored);
    if (!unpacked) throw JobError(unpacked.error().message, kExitFailure);
}

}  // namespace

int wait_for_job(JobClient& client, const JobWait& wait, bool json) {
    const auto deadline = wait.timeout ? Clock::now() + *wait.timeout : Clock::time_point::max();
    auto record = client.show(wait.job);
    // One that was aborted has its last status already, and whoever waits wants to delete it, say.
    for (bool ended = false; !ended;) {
        const auto left =
            std::chrono::ceil<milliseconds>(std::min<Clock::duration>(deadline - Clock::now(), std::chrono::hours(1)));
        const auto patience = std::clamp(left, milliseconds(0), kLongestWait);
        const auto reply = client.ask(
            topic::kWait, {{"job", record.id}, {"version", record.version}, {"timeout_ms", patience.count()}}, {},
            patience + JobClient::kAnswerTime);
        record = record_from(reply.body);
        const auto* header = reply.header("ended");
        ended = header != nullptr && header->boolean_or(false);
        if (ended || left.count() > 0) continue;
        if (json) (void)print_record(record, true);
        const auto status = std::string(to_string(record.status));
        complain("job " + short_id(record.id) +
                 (is_final(record.status)
                      ? " is " + status + ", but not all that it has started has ended"
                      : " is still " + status + (record.reason.empty() ? "" : ": " + record.reason)));
        return kExitTimeout;
    }
    const int printed = print_record(record, json);
    if (printed != kExitSuccess) return printed;
    return record.status == job::JobStatus::completed ? kExitSuccess : kExitFailure;
}

int print_logs(JobClient& client, const JobLogs& logs) {
    std::int64_t offset = 0;
    while (true) {
        const auto asked = Clock::now();
        const auto reply = client.ask(topic::kLogs,
                                      {{"job", logs.job},
                                       {"participant", logs.participant},
                                       {"offset", offset},
                                       {"timeout_ms", logs.follow ? kLongestWait.count() : 0}},
                                      {}, kLongestWait + JobClient::kAnswerTime);
        const auto& bytes = bytes_in(reply);
        if (const int written = bytes.empty() ? kExitSuccess : write_output(bytes); written != kExitSuccess) {
            return written;
        }
        offset += static_cast<std::int64_t>(bytes.size());
        if (bytes.size() >= topic::kChunkBytes) continue;
        const auto* ended = reply.header("ended");
        if (!logs.follow || (bytes.empty() && ended != nullptr && ended->boolean_or(false))) return kExitSuccess;
        if (bytes.empty() && Clock::now() - asked < kPause) std::this_thread::sleep_for(kPause);
    }
}

int download_job(JobClient& client, const JobDownload& download, bool json) {
    const auto record = client.show(download.job);
    auto target = fs::path(download.into.empty() ? record.name + "-" + record.id.substr(0, 8) : download.into);
    // "results/" is the same as "results".
    if (!target.has_filename() && target.has_parent_path()) target = target.parent_path();
    if (download.archive && download.into.empty()) target += ".tar.gz";
    const bool used = download.archive ? fs::exists(target)
                                       : fs::exists(target) && !(fs::is_directory(target) && fs::is_empty(target));
    if (used) {
        throw JobError(target.string() + " is there already; remove it, or give another place with --into", kExitUsage);
    }
    if (download.archive) {
        fetch(client, record.id, target);
    } else {
        // Under a name of its own: one that people would choose may be there, and theirs.
        const auto archive = fs::path(target.string() + "." + random_run_id() + ".tar.gz");
        fetch(client, record.id, archive);
        unpack(archive, target);
    }
    const auto place = fs::absolute(target).lexically_normal().string();
    if (json) return print_text(to_json(Value::Map{{"job", record.id}, {"path", place}}) + "\n");
    return print_text(place + "\n");
}

}  // namespace rankexec::cli
