// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/backend/slurm_verdict.hpp"

#include <algorithm>

namespace rankexec::job {
namespace {

using Phase = SlurmJob::Phase;
using Kind = RunEnd::Kind;

RunEnd by_exit(const ExitStatus& exit, bool stopped) {
    RunEnd end;
    end.exit = exit;
    end.kind = stopped ? Kind::stopped : exit.signalled ? Kind::killed : exit.success() ? Kind::success : Kind::failure;
    end.detail = to_string(exit);
    return end;
}

std::string in_slurm(const SlurmJob& job, const std::string& what) {
    return "Slurm job " + job.id + " " + what + " (" + job.state + ")";
}

/// Without a report of the script.
RunEnd by_state(const SlurmJob& job, bool claimed, bool stopping) {
    RunEnd end;
    end.exit = job.exit;
    switch (job.phase) {
        case Phase::alive:
        case Phase::completed:
            if (job.exit) return by_exit(*job.exit, false);
            end.detail = in_slurm(job, "has ended");
            return end;
        case Phase::cancelled:
            end.kind = stopping ? Kind::stopped : Kind::killed;
            end.detail = in_slurm(job, stopping ? "was cancelled" : "was cancelled by another");
            return end;
        case Phase::ended_by_slurm:
            end.kind = Kind::killed;
            end.detail = in_slurm(job, "was ended by Slurm");
            return end;
        case Phase::failed:
            end.kind = stopping ? Kind::stopped : claimed ? Kind::killed : Kind::backend_failed;
            end.detail = in_slurm(job, claimed ? "has ended without a report" : "could not start the run");
            return end;
        case Phase::never_started: break;
    }
    end.kind = Kind::backend_failed;
    end.detail = in_slurm(job, "was not started");
    return end;
}

}  // namespace

std::optional<SlurmJob> job_of_run(const SlurmEvidence& evidence) {
    if (!evidence.jobs || evidence.jobs->empty()) return std::nullopt;
    const auto& jobs = *evidence.jobs;
    if (evidence.claim && !evidence.claim->empty()) {
        const auto found = std::ranges::find(jobs, *evidence.claim, &SlurmJob::id);
        if (found == jobs.end()) return std::nullopt;
        return *found;
    }
    const auto alive = std::ranges::find(jobs, Phase::alive, &SlurmJob::phase);
    return alive == jobs.end() ? jobs.front() : *alive;
}

std::optional<RunEnd> slurm_verdict(const SlurmEvidence& evidence) {
    const auto job = job_of_run(evidence);
    if (job && job->phase == Phase::alive) return std::nullopt;
    if (evidence.revoked && evidence.jobs) {
        RunEnd end;
        end.kind = evidence.stopping ? Kind::stopped : Kind::backend_failed;
        end.detail = "it was given up before Slurm started it";
        return end;
    }
    if (evidence.exit) {
        // That nothing of it lives any more only Slurm says.
        if (!evidence.jobs) return std::nullopt;
        const bool cancelled = job ? job->phase == Phase::cancelled : evidence.exit->signalled;
        if (job && job->phase == Phase::ended_by_slurm) {
            auto end = by_state(*job, true, false);
            end.exit = evidence.exit;
            return end;
        }
        if (!evidence.stopping && cancelled) {
            auto end = by_exit(*evidence.exit, false);
            end.kind = Kind::killed;
            if (job) end.detail = in_slurm(*job, "was cancelled by another") + ": " + end.detail;
            return end;
        }
        return by_exit(*evidence.exit, evidence.stopping && cancelled);
    }
    if (!job) return std::nullopt;
    return by_state(*job, evidence.claim.has_value(), evidence.stopping);
}

}  // namespace rankexec::job
