// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/job/backend/run_backend.hpp"
#include "rankexec/core/job/backend/slurm_commands.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// All that is known about a run at one moment.
struct RANKEXEC_EXPORT SlurmEvidence {
    std::optional<std::string> claim;  ///< id of the Slurm job that runs, or ran, the command; "": not readable yet
    bool revoked = false;              ///< none has, and none will
    std::optional<ExitStatus> exit;    ///< as the script has reported it
    std::optional<std::vector<SlurmJob>> jobs;  ///< of that name, by squeue or sacct; none: Slurm has not answered
    bool stopping = false;                      ///< stop() was called
};

/// The one of these jobs that is the run: that with the claim; without one, one that still lives; else the first.
[[nodiscard]] RANKEXEC_EXPORT std::optional<SlurmJob> job_of_run(const SlurmEvidence& evidence);
/// How the run ended, if that is certain.
[[nodiscard]] RANKEXEC_EXPORT std::optional<RunEnd> slurm_verdict(const SlurmEvidence& evidence);

}  // namespace rankexec::job
