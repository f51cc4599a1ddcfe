// SPDX-License-Identifier: Apache-2.0
// The Slurm backend over commands that fail, lie and forget. Slurm itself: integration/job_slurm.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/backend/slurm_backend.hpp"
#include "rankexec/core/job/backend/slurm_run_files.hpp"
#include "unit/job_backend/end_recorder.hpp"
#include "unit/job_backend/fake_slurm.hpp"

namespace rankexec::job::test {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using Kind = RunEnd::Kind;

class SlurmFaultsTest : public RunFolder {
protected:
    SlurmFaultsTest() {
        options.program_directory = slurm.programs();
        options.longest_pause = milliseconds(20);
        options.file_system_lag = milliseconds(0);
        restart();
    }
    /// Of the site: nothing of its memory stays.
    void restart() {
        backend.reset();
        backend = std::make_unique<SlurmBackend>(options);
        ends.listen_to(*backend);
    }
    RunSpec spec(const std::string& script = "exit 0") const { return shell("a", script); }
    void start(const RunSpec& run) {
        const auto started = backend->start(run);
        ASSERT_TRUE(started) << started.error().describe();
    }
    /// So many further looks at the jobs have begun.
    void wait_for_looks(std::size_t further) {
        const auto before = slurm.calls("squeue").size();
        EXPECT_TRUE(wait_in(slurm.programs(), [&] { return slurm.calls("squeue").size() >= before + further; }));
    }
    int run_on_node(const std::string& id, const std::string& state_after) {
        slurm.set_state(id, "RUNNING");
        const int code = slurm.run_script(id, folder());
        slurm.set_state(id, state_after);
        return code;
    }
    std::string ran() const { return text_of(folder() / "ran"); }

    FakeSlurm slurm{folder() / "slurm"};
    SlurmBackendOptions options;
    EndRecorder ends;
    std::unique_ptr<SlurmBackend> backend;
};

using J4_SlurmBackend = SlurmFaultsTest;
using J6_SlurmBackend = SlurmFaultsTest;
using J7_SlurmBackend = SlurmFaultsTest;
using J11_SlurmBackend = SlurmFaultsTest;

TEST_F(J4_SlurmBackend, OneJobUnderAName) {
    auto run = spec("echo ran >> ran");
    run.need = {2, 40'000, 4, 1000};
    options.sbatch_arguments = {"--partition=gpu"};
    restart();
    start(run);
    start(run);
    ASSERT_THAT(slurm.calls("sbatch"), SizeIs(1));
    EXPECT_THAT(
        slurm.calls("sbatch")[0],
        AllOf(HasSubstr("--job-name=rankexec-token-a "), HasSubstr("--cpus-per-task=4"), HasSubstr("--mem=1000M"),
              HasSubstr("--gres=gpu:2"), HasSubstr("--no-requeue"), testing::EndsWith("--partition=gpu")));
    EXPECT_EQ(run_on_node("101", "COMPLETED"), 0);
    EXPECT_EQ(ends.wait_for("a").kind, Kind::success);
    start(run);
    EXPECT_THAT(slurm.calls("sbatch"), SizeIs(1));
    EXPECT_EQ(ran(), "ran\n");
}

TEST_F(J4_SlurmBackend, SecretsAreOnNoCommandLineAndGoneOnceItRuns) {
    auto run = spec("printf '%s' \"$SECRET\" > got");
    run.environment = {"SECRET=it's \"v$ry\" `secret`\nin two lines"};
    start(run);
    EXPECT_THAT(slurm.calls("sbatch"), Each(Not(HasSubstr("secret"))));
    EXPECT_THAT(slurm.script("101"), Not(HasSubstr("secret")));
    const auto file = folder() / ".rankexec-slurm" / "rankexec-token-a.environment";
    using std::filesystem::perms;
    EXPECT_EQ(std::filesystem::status(file).permissions(), perms::owner_read | perms::owner_write);
    EXPECT_EQ(run_on_node("101", "COMPLETED"), 0);
    EXPECT_EQ(text_of(folder() / "got"), "it's \"v$ry\" `secret`\nin two lines");
    EXPECT_FALSE(std::filesystem::exists(file));
    EXPECT_EQ(ends.wait_for("a").kind, Kind::success);
}

TEST_F(J4_SlurmBackend, ArgumentsReachTheCommandAsTheyAre) {
    auto run = spec();
    run.command = {"/bin/sh", "-c", "printf '<%s>' \"$@\" > got", "sh", "a b", "$HOME", "it's", "", "`x`\n\\"};
    start(run);
    EXPECT_EQ(run_on_node("101", "COMPLETED"), 0);
    EXPECT_EQ(text_of(folder() / "got"), "<a b><$HOME><it's><><`x`\n\\>");
    EXPECT_EQ(ends.wait_for("a").kind, Kind::success);
}

TEST_F(J4_SlurmBackend, WhatSlurmRefusesIsAFailureWithItsWords) {
    slurm.set("sbatch", "refuse");
    const auto started = backend->start(spec());
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, ReturnCode::launch_error);
    EXPECT_THAT(started.error().message, HasSubstr("invalid partition"));
    EXPECT_FALSE(backend->runs("a"));
    // Asked again it is no success.
    slurm.set("sbatch", "");
    EXPECT_FALSE(backend->start(spec()));
    EXPECT_THAT(ends.all(), IsEmpty());
}

TEST_F(J4_SlurmBackend, AnAnswerThatIsLostIsNoSecondRun) {
    slurm.set("sbatch", "silent");
    start(spec("echo ran >> ran"));
    EXPECT_THAT(slurm.ids(), ElementsAre("101"));
    EXPECT_EQ(run_on_node("101", "COMPLETED"), 0);
    EXPECT_EQ(ends.wait_for("a").kind, Kind::success);
    EXPECT_EQ(ran(), "ran\n");
}

TEST_F(J4_SlurmBackend, AJobThatComesAfterItWasGivenUpDoesNothing) {
    slurm.set("sbatch", "lost");
    EXPECT_FALSE(backend->start(spec("echo ran >> ran")));
    // Slurm takes it all the same, much later.
    EXPECT_EQ(slurm.run_script("lost", folder()), 0);
    EXPECT_EQ(ran(), "");
}

TEST_F(J4_SlurmBackend, OfTwoJobsOfOneNameOneRuns) {
    start(spec("echo ran >> ran; exit 5"));
    // Submitted twice by a client that tried again.
    std::filesystem::copy_file(folder() / "slurm" / "script.101", folder() / "slurm" / "script.102");
    std::ofstream(folder() / "slurm" / "name.102") << "rankexec-token-a\n";
    slurm.set_state("102", "PENDING");
    EXPECT_EQ(run_on_node("102", "FAILED"), 5);
    EXPECT_EQ(run_on_node("101", "COMPLETED"), 0);
    EXPECT_EQ(ran(), "ran\n");
    EXPECT_EQ(ends.wait_for("a").exit, (ExitStatus{false, 5}));
}

TEST_F(J4_SlurmBackend, ASlurmThatIsDownStartsNothing) {
    slurm.set("squeue", "down");
    EXPECT_FALSE(backend->start(spec()));
    EXPECT_THAT(slurm.calls("sbatch"), IsEmpty());
    slurm.set("squeue", "");
    start(spec());
    EXPECT_THAT(slurm.calls("sbatch"), SizeIs(1));
}

TEST_F(J11_SlurmBackend, AnOutageIsNoVerdict) {
    start(spec("exit 3"));
    slurm.set_state("101", "RUNNING");
    slurm.set("squeue", "down");
    slurm.set("sacct", "down");
    wait_for_looks(5);
    EXPECT_THAT(ends.all(), IsEmpty());
    EXPECT_TRUE(backend->runs("a"));
    EXPECT_EQ(run_on_node("101", "FAILED"), 3);
    wait_for_looks(3);
    EXPECT_THAT(ends.all(), IsEmpty());
    slurm.set("squeue", "");
    EXPECT_EQ(ends.wait_for("a").exit, (ExitStatus{false, 3}));
}

TEST_F(J11_SlurmBackend, AnOutageOfAccountingIsNoVerdict) {
    start(spec());
    slurm.set_state("101", "RUNNING");
    std::ofstream(folder() / ".rankexec-slurm" / "rankexec-token-a.claim") << "101\n";
    slurm.forget("101");
    wait_for_looks(5);
    EXPECT_THAT(ends.all(), IsEmpty());
    slurm.set_accounted("101|rankexec-token-a|FAILED|0:9\n");
    const auto end = ends.wait_for("a");
    EXPECT_EQ(end.kind, Kind::killed);
    EXPECT_EQ(end.exit, (ExitStatus{true, 9}));
}

TEST_F(J11_SlurmBackend, AJobThatNobodyKnowsAnyMoreIsAFailureOfTheBackend) {
    options.lost_after = milliseconds(50);
    restart();
    start(spec("echo ran >> ran"));
    slurm.forget("101");
    const auto end = ends.wait_for("a");
    EXPECT_EQ(end.kind, Kind::backend_failed);
    EXPECT_THAT(end.detail, HasSubstr("rankexec-token-a"));
    // It does not come back.
    EXPECT_EQ(slurm.run_script("101", folder()), 0);
    EXPECT_EQ(ran(), "");
}

TEST_F(J11_SlurmBackend, AReportIsBelievedOnceSlurmSaysThatNothingIsLeft) {
    start(spec("exit 0"));
    EXPECT_EQ(run_on_node("101", "COMPLETING"), 0);
    wait_for_looks(3);
    EXPECT_THAT(ends.all(), IsEmpty());
    slurm.set_state("101", "COMPLETED");
    EXPECT_EQ(ends.wait_for("a").kind, Kind::success);
}

TEST_F(J6_SlurmBackend, StopCancelsByNameUntilItIsDone) {
    start(spec());
    slurm.set_state("101", "RUNNING");
    slurm.set("scancel", "down");
    backend->stop("a");
    wait_for_looks(3);
    EXPECT_TRUE(backend->runs("a"));
    slurm.set("scancel", "");
    EXPECT_EQ(ends.wait_for("a").kind, Kind::stopped);
    EXPECT_THAT(slurm.calls("scancel"), Each(HasSubstr("--name=rankexec-token-a")));
    EXPECT_FALSE(backend->runs("a"));
}

TEST_F(J6_SlurmBackend, OthersJobsAreLeftAlone) {
    start(spec());
    std::ofstream(folder() / "slurm" / "name.7") << "rankexec-token-b\n";
    slurm.set_state("7", "RUNNING");
    backend->stop("a");
    EXPECT_EQ(ends.wait_for("a").kind, Kind::stopped);
    EXPECT_EQ(text_of(folder() / "slurm" / "state.7"), "RUNNING");
    const auto calls = slurm.calls("scancel").size();
    backend->stop("unknown");
    wait_for_looks(0);
    EXPECT_EQ(slurm.calls("scancel").size(), calls);
}

TEST_F(J6_SlurmBackend, AStoppedRunThatHasNotBegunNeverBegins) {
    start(spec("echo ran >> ran"));
    backend->stop("a");
    EXPECT_EQ(ends.wait_for("a").kind, Kind::stopped);
    EXPECT_EQ(slurm.run_script("101", folder()), 0);
    EXPECT_EQ(ran(), "");
}

TEST_F(J7_SlurmBackend, ARunIsFoundAgainByItsName) {
    start(spec("exit 4"));
    slurm.set_state("101", "RUNNING");
    restart();
    EXPECT_TRUE(backend->adopt(spec()));
    EXPECT_TRUE(backend->adopt(spec()));
    EXPECT_TRUE(backend->runs("a"));
    EXPECT_EQ(run_on_node("101", "FAILED"), 4);
    EXPECT_EQ(ends.wait_for("a").exit, (ExitStatus{false, 4}));
    EXPECT_THAT(slurm.calls("sbatch"), SizeIs(1));
}

TEST_F(J7_SlurmBackend, AStartThatIsRepeatedAfterARestartIsNoSecondRun) {
    start(spec("echo ran >> ran"));
    EXPECT_EQ(run_on_node("101", "COMPLETED"), 0);
    restart();
    start(spec());
    EXPECT_EQ(ends.wait_for("a").kind, Kind::success);
    // Slurm has forgotten it, too.
    slurm.forget("101");
    restart();
    start(spec());
    EXPECT_EQ(ends.wait_for("a", 2).kind, Kind::success);
    EXPECT_THAT(slurm.calls("sbatch"), SizeIs(1));
    EXPECT_EQ(ran(), "ran\n");
}

TEST_F(J7_SlurmBackend, WhatEndedWhileTheSiteWasAwayIsTold) {
    start(spec("exit 6"));
    backend.reset();
    EXPECT_EQ(run_on_node("101", "FAILED"), 6);
    slurm.forget("101");
    restart();
    EXPECT_TRUE(backend->adopt(spec()));
    EXPECT_EQ(ends.wait_for("a").exit, (ExitStatus{false, 6}));
}

TEST_F(J7_SlurmBackend, WhatWasNeverSubmittedIsNotAdopted) {
    EXPECT_FALSE(backend->adopt(spec()));
    EXPECT_FALSE(backend->runs("a"));
    slurm.set("sbatch", "lost");
    EXPECT_FALSE(backend->start(spec()));
    EXPECT_FALSE(backend->adopt(spec()));
}

TEST_F(J7_SlurmBackend, ASlurmThatIsDownKeepsARunAdopted) {
    start(spec("exit 0"));
    slurm.set_state("101", "RUNNING");
    slurm.set("squeue", "down");
    restart();
    EXPECT_TRUE(backend->adopt(spec()));
    slurm.set("squeue", "");
    EXPECT_EQ(run_on_node("101", "COMPLETED"), 0);
    EXPECT_EQ(ends.wait_for("a").kind, Kind::success);
}

TEST_F(J11_SlurmBackend, ACommandThatHangsIsNoVerdict) {
    options.command_timeout = milliseconds(200);
    restart();
    start(spec());
    slurm.set_state("101", "RUNNING");
    std::filesystem::rename(folder() / "slurm" / "squeue", folder() / "slurm" / "squeue.good");
    std::ofstream(folder() / "slurm" / "hanging") << "#!/bin/sh\necho \"$@\" >> \"$0.calls\"\nsleep 1000\n";
    std::filesystem::permissions(folder() / "slurm" / "hanging", std::filesystem::perms::owner_all);
    std::filesystem::rename(folder() / "slurm" / "hanging", folder() / "slurm" / "squeue");
    wait_for_looks(2);
    EXPECT_THAT(ends.all(), IsEmpty());
    std::filesystem::rename(folder() / "slurm" / "squeue.good", folder() / "slurm" / "squeue");
    EXPECT_EQ(run_on_node("101", "COMPLETED"), 0);
    EXPECT_EQ(ends.wait_for("a").kind, Kind::success);
}

TEST(J4_SlurmBackendOptions, TimesThatMakeNoSenseAreRefused) {
    SlurmBackendOptions options;
    options.command_timeout = milliseconds(0);
    EXPECT_THROW(SlurmBackend{options}, ConfigurationError);
    options = {};
    options.lost_after = milliseconds(-1);
    EXPECT_THROW(SlurmBackend{options}, ConfigurationError);
}

}  // namespace
}  // namespace rankexec::job::test
