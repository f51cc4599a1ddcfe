// SPDX-License-Identifier: Apache-2.0
// What Slurm's words and a script's report say about a run, and what they do not say.
#include "rankexec/core/job/backend/slurm_verdict.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace rankexec::job::test {
namespace {

using Kind = RunEnd::Kind;
using Phase = SlurmJob::Phase;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

SlurmEvidence with(const std::string& state, const std::string& claim = "7") {
    SlurmEvidence evidence;
    if (!claim.empty()) evidence.claim = claim;
    evidence.jobs = std::vector<SlurmJob>{{"7", "name", state, slurm_phase(state), {}}};
    return evidence;
}

SlurmEvidence with(const std::string& state, const ExitStatus& exit) {
    auto evidence = with(state);
    evidence.exit = exit;
    return evidence;
}

TEST(J11_SlurmVerdict, ReadsWhatSqueueAndSacctPrint) {
    EXPECT_THAT(jobs_from_squeue("12|rankexec-a|RUNNING\n13|other|COMPLETED\n\nslurm_load_jobs error\n1|2\nx|y|z\n"),
                ElementsAre(SlurmJob{"12", "rankexec-a", "RUNNING", Phase::alive, {}},
                            SlurmJob{"13", "other", "COMPLETED", Phase::completed, {}}));
    EXPECT_THAT(jobs_from_sacct("12|a|FAILED|3:0\n13|a|CANCELLED by 0|0:15\n13.batch|a|FAILED|1:0\n14|a|RUNNING|?\n"),
                ElementsAre(SlurmJob{"12", "a", "FAILED", Phase::failed, ExitStatus{false, 3}},
                            SlurmJob{"13", "a", "CANCELLED by 0", Phase::cancelled, ExitStatus{true, 15}},
                            SlurmJob{"14", "a", "RUNNING", Phase::alive, {}}));
}

TEST(J11_SlurmVerdict, NoneWhileItLives) {
    for (const auto* state : {"PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "CONFIGURING", "NEW_IN_SLURM_99", ""}) {
        EXPECT_FALSE(slurm_verdict(with(state))) << state;
        EXPECT_FALSE(slurm_verdict(with(state, ExitStatus{false, 0}))) << state;
    }
}

TEST(J11_SlurmVerdict, NoneWithoutAnAnswerOfSlurm) {
    SlurmEvidence evidence;
    EXPECT_FALSE(slurm_verdict(evidence));
    evidence.claim = "7";
    evidence.exit = ExitStatus{false, 0};
    EXPECT_FALSE(slurm_verdict(evidence));
    evidence.exit.reset();
    evidence.jobs.emplace();
    EXPECT_FALSE(slurm_verdict(evidence));
    evidence.claim.reset();
    evidence.revoked = true;
    evidence.jobs.reset();
    EXPECT_FALSE(slurm_verdict(evidence));
}

TEST(J11_SlurmVerdict, TheScriptsReportSaysHow) {
    EXPECT_EQ(slurm_verdict(with("COMPLETED", ExitStatus{false, 0}))->kind, Kind::success);
    const auto failure = slurm_verdict(with("FAILED", ExitStatus{false, 3}));
    EXPECT_EQ(failure->kind, Kind::failure);
    EXPECT_EQ(failure->exit, (ExitStatus{false, 3}));
    EXPECT_EQ(slurm_verdict(with("FAILED", ExitStatus{true, SIGSEGV}))->kind, Kind::killed);
    auto forgotten = with("COMPLETED", ExitStatus{false, 3});
    forgotten.jobs->clear();
    EXPECT_EQ(slurm_verdict(forgotten)->kind, Kind::failure);
}

TEST(J11_SlurmVerdict, WhoCancelledItMatters) {
    auto evidence = with("CANCELLED", ExitStatus{true, SIGTERM});
    EXPECT_EQ(slurm_verdict(evidence)->kind, Kind::killed);
    EXPECT_THAT(slurm_verdict(evidence)->detail, HasSubstr("by another"));
    evidence.stopping = true;
    EXPECT_EQ(slurm_verdict(evidence)->kind, Kind::stopped);
    // Terminated, it ended well.
    evidence.exit = ExitStatus{false, 0};
    EXPECT_EQ(slurm_verdict(evidence)->kind, Kind::stopped);
    evidence = with("CANCELLED");
    EXPECT_EQ(slurm_verdict(evidence)->kind, Kind::killed);
    evidence.stopping = true;
    EXPECT_EQ(slurm_verdict(evidence)->kind, Kind::stopped);
    // It ended by itself before it was stopped.
    evidence = with("FAILED", ExitStatus{false, 3});
    evidence.stopping = true;
    EXPECT_EQ(slurm_verdict(evidence)->kind, Kind::failure);
}

TEST(J11_SlurmVerdict, WithoutAReportSlurmsStateSays) {
    EXPECT_EQ(slurm_verdict(with("COMPLETED"))->kind, Kind::success);
    for (const auto* state : {"TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "DEADLINE", "FAILED"}) {
        const auto end = slurm_verdict(with(state));
        EXPECT_EQ(end->kind, Kind::killed) << state;
        EXPECT_THAT(end->detail, HasSubstr(state));
    }
    EXPECT_EQ(slurm_verdict(with("BOOT_FAIL", ""))->kind, Kind::backend_failed);
    EXPECT_EQ(slurm_verdict(with("FAILED", ""))->kind, Kind::backend_failed);
    EXPECT_EQ(slurm_verdict(with("TIMEOUT", ExitStatus{true, SIGTERM}))->kind, Kind::killed);
    EXPECT_THAT(slurm_verdict(with("TIMEOUT", ExitStatus{true, SIGTERM}))->detail, HasSubstr("TIMEOUT"));
}

TEST(J11_SlurmVerdict, OfSeveralJobsOfOneNameTheOneWithTheClaimIsTheRun) {
    auto evidence = with("COMPLETED");
    evidence.jobs->push_back({"8", "name", "RUNNING", Phase::alive, {}});
    EXPECT_TRUE(slurm_verdict(evidence));
    evidence.claim = "8";
    EXPECT_FALSE(slurm_verdict(evidence));
    evidence.claim.reset();
    EXPECT_FALSE(slurm_verdict(evidence));
    evidence.claim = "9";
    EXPECT_FALSE(slurm_verdict(evidence));
}

TEST(J11_SlurmVerdict, WhatWasGivenUpNeverRan) {
    auto evidence = with("COMPLETED", "");
    evidence.revoked = true;
    EXPECT_EQ(slurm_verdict(evidence)->kind, Kind::backend_failed);
    evidence.stopping = true;
    EXPECT_EQ(slurm_verdict(evidence)->kind, Kind::stopped);
    evidence.jobs->clear();
    EXPECT_EQ(slurm_verdict(evidence)->kind, Kind::stopped);
}

}  // namespace
}  // namespace rankexec::job::test
