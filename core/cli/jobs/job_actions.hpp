// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rankexec/core/cli/jobs/job_client.hpp"
#include "rankexec/core/cli/jobs/job_commands.hpp"

/// What job commands do, each with a connection to the controller: they print, and return what the command exits with.
/// All throw JobError and ConfigurationError. `json`: one line of it instead of text.
namespace rankexec::cli {

[[nodiscard]] int submit_job(JobClient& client, const JobSubmit& submit, bool json);
[[nodiscard]] int wait_for_job(JobClient& client, const JobWait& wait, bool json);
[[nodiscard]] int print_logs(JobClient& client, const JobLogs& logs);
[[nodiscard]] int download_job(JobClient& client, const JobDownload& download, bool json);

}  // namespace rankexec::cli
