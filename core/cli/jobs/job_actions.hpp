// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "rankexec/core/cli/interrupt_watch.hpp"
#include "rankexec/core/cli/jobs/job_client.hpp"
#include "rankexec/core/cli/jobs/job_commands.hpp"

/// What job commands do, each with a connection to the controller: they print, and return what the command exits with.
/// All throw JobError and ConfigurationError. `json`: one line of it instead of text.
namespace rankexec::cli {

/// Where a job's folder is packed: a file that goes with this, also when the command is interrupted. Made before there
/// are other threads, with InterruptWatch::block().
class PackedBundle {
public:
    PackedBundle();
    ~PackedBundle();
    PackedBundle(const PackedBundle&) = delete;
    PackedBundle& operator=(const PackedBundle&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    void remove() const;

private:
    void end(int signal) const;
    const std::filesystem::path path_;
    const InterruptWatch watch_;
};

[[nodiscard]] int submit_job(JobClient& client, const JobSubmit& submit, const PackedBundle& bundle, bool json);
[[nodiscard]] int wait_for_job(JobClient& client, const JobWait& wait, bool json);
[[nodiscard]] int print_logs(JobClient& client, const JobLogs& logs);
[[nodiscard]] int download_job(JobClient& client, const JobDownload& download, bool json);

}  // namespace rankexec::cli
