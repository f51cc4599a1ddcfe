// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
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

/// An upload that is not there any more is begun anew: the controller was restarted meanwhile.
constexpr int kAttempts = 3;

/// What is wrong with a job is told of the place that the user has named.
[[noreturn]] void refuse(const Failure& failure, const fs::path& bundle, const std::string& path) {
    auto message = failure.message;
    if (const auto at = message.find(bundle.string()); at != std::string::npos) {
        message.replace(at, bundle.string().size(), path);
    } else if (message.starts_with("job.toml")) {
        message.insert(0, path + (path.ends_with('/') ? "" : "/"));
    }
    // Before anything was started.
    throw JobError(message, failure.code == ReturnCode::bad_request_data ? kExitUsage : kExitFailure);
}

/// The job's id.
std::string upload(JobClient& client, const fs::path& bundle, const std::string& token) {
    const auto computed = job::bundle_digest(bundle);
    if (!computed) refuse(computed.error(), bundle, bundle.string());
    const auto& digest = *computed;
    const auto size = static_cast<std::int64_t>(fs::file_size(bundle));
    const auto signature = job::to_hex(client.identity().sign("submit", digest));
    auto begun = client.ask(topic::kSubmitBegin,
                            {{"token", token}, {"digest", digest}, {"bytes", size}, {"signature", signature}});
    if (auto job = text_in(begun, "job"); !job.empty()) return job;
    const auto id = text_in(begun, "upload");
    std::ifstream file(bundle, std::ios::binary);
    auto have = number_in(begun, "have");
    while (have < size) {
        Bytes piece(static_cast<std::size_t>(std::min<std::int64_t>(size - have, topic::kChunkBytes)));
        file.seekg(have);
        file.read(reinterpret_cast<char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
        if (!file) throw JobError("the bundle " + bundle.string() + " cannot be read", kExitFailure);
        const auto taken = client.ask(topic::kSubmitChunk, {{"upload", id}, {"offset", have}}, std::move(piece));
        const auto now = number_in(taken, "have");
        if (now <= have) throw JobError("the controller does not take the bundle", kExitFailure);
        have = now;
    }
    return text_in(client.ask(topic::kSubmitEnd, {{"upload", id}}), "job");
}

std::string submit_bundle(JobClient& client, const fs::path& bundle, const std::string& token) {
    for (int attempt = 1;; ++attempt) {
        try {
            return upload(client, bundle, token);
        } catch (const JobError& error) {
            const bool forgotten = std::string_view(error.what()).find("no such upload") != std::string_view::npos;
            if (!forgotten || attempt == kAttempts) throw;
        }
    }
}

}  // namespace

PackedBundle::PackedBundle()
    : path_(fs::temp_directory_path() / ("rankexec-" + random_run_id() + ".tar.gz")),
      watch_({[this](int signal) { end(signal); }, [this](int signal) { end(signal); }, {}}) {}

PackedBundle::~PackedBundle() { remove(); }

void PackedBundle::remove() const {
    std::error_code ignored;
    fs::remove(path_, ignored);
    fs::remove(path_.string() + ".part", ignored);  // of pack_folder(), while it packs
}

void PackedBundle::end(int signal) const {
    remove();
    std::_Exit(exit_code_of_signal(signal));
}

int submit_job(JobClient& client, const JobSubmit& submit, const PackedBundle& bundle, bool json) {
    // The same for a submission that is sent again, so that it is one job.
    const auto token = submit.token.empty() ? random_run_id() : submit.token;
    std::string id;
    if (fs::is_directory(submit.path)) {
        const auto packed = job::pack_folder(submit.path, bundle.path());
        if (!packed) refuse(packed.error(), bundle.path(), submit.path);
        const auto inspected = job::inspect_bundle(bundle.path());
        if (!inspected) refuse(inspected.error(), bundle.path(), submit.path);
        id = submit_bundle(client, bundle.path(), token);
        bundle.remove();
    } else if (fs::is_regular_file(submit.path)) {
        const auto inspected = job::inspect_bundle(submit.path);
        if (!inspected) refuse(inspected.error(), submit.path, submit.path);
        id = submit_bundle(client, submit.path, token);
    } else {
        throw JobError("there is no job at " + submit.path + "; give a folder with a job.toml, or a bundle",
                       kExitUsage);
    }
    if (!json) {
        const int printed = print_text(id + "\n");
        if (printed != kExitSuccess || !submit.wait) return printed;
    } else if (!submit.wait) {
        return print_text(to_json(Value::Map{{"job", id}}) + "\n");
    }
    return wait_for_job(client, {id, std::nullopt}, json);
}

}  // namespace rankexec::cli
