// SPDX-License-Identifier: Apache-2.0
// Parts of jobs in a Slurm of two nodes: tests/support/slurm/with_slurm test_job_slurm.
#include "rankexec/core/job/backend/slurm_backend.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "rankexec/core/job/backend/slurm_commands.hpp"
#include "rankexec/core/system/run_command.hpp"
#include "unit/job_backend/end_recorder.hpp"

namespace rankexec::job::test {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Kind = RunEnd::Kind;

class SlurmTest : public RunFolder {
protected:
    SlurmTest() {
        options.longest_pause = milliseconds(500);
        restart();
    }
    void restart() {
        backend.reset();
        backend = std::make_unique<SlurmBackend>(options);
        ends.listen_to(*backend);
    }
    /// All cases share one Slurm: its token is this case's own.
    RunSpec part(const std::string& job, const std::string& script) const {
        auto spec = shell(job, script);
        spec.token = folder().filename().string() + "-" + job;
        return spec;
    }
    /// Nothing that a case waits for later comes without it.
    void start(const RunSpec& spec) {
        const auto started = backend->start(spec);
        if (!started) throw std::runtime_error(started.error().describe());
    }
    RunEnd run(const RunSpec& spec) {
        start(spec);
        return ends.wait_for(spec.job);
    }
    /// Of that run, whatever their state.
    std::vector<SlurmJob> jobs_of(const RunSpec& spec) {
        const auto jobs = commands.queued({slurm_job_name(spec.token)});
        EXPECT_TRUE(jobs) << jobs.error().message;
        return jobs.value_or(std::vector<SlurmJob>{});
    }
    static CommandOutput command(std::vector<std::string> argv) {
        Command call;
        call.argv = std::move(argv);
        const auto result = run_command(call);
        EXPECT_TRUE(result) << result.error().message;
        return result.value_or(CommandOutput{});
    }

    SlurmBackendOptions options;
    SlurmCommands commands{"", std::chrono::seconds(20)};
    EndRecorder ends;
    std::unique_ptr<SlurmBackend> backend;
};

using J4_Slurm = SlurmTest;
using J6_Slurm = SlurmTest;
using J7_Slurm = SlurmTest;
using J11_Slurm = SlurmTest;

TEST_F(J11_Slurm, TellsSuccessFailureAndDeathApart) {
    EXPECT_EQ(run(part("a", "exit 0")).kind, Kind::success);
    const auto failure = run(part("b", "exit 3"));
    EXPECT_EQ(failure.kind, Kind::failure);
    EXPECT_EQ(failure.exit, (ExitStatus{false, 3}));
    const auto killed = run(part("c", "kill -KILL $$"));
    EXPECT_EQ(killed.kind, Kind::killed);
    EXPECT_EQ(killed.exit, (ExitStatus{true, SIGKILL}));
}

TEST_F(J4_Slurm, OutputGoesToTheLogInItsDirectoryWithItsEnvironment) {
    std::ofstream(folder() / "log") << "before\n";
    auto spec = part("a", "pwd; echo \"$SECRET\"; echo to stderr >&2");
    spec.environment = {"SECRET=it's secret"};
    EXPECT_EQ(run(spec).kind, Kind::success);
    EXPECT_THAT(text_of(spec.log), AllOf(testing::StartsWith("before\n"), HasSubstr("it's secret\n"),
                                         HasSubstr("to stderr\n"), HasSubstr(folder().string() + "\n")));
    const auto shown = command({"scontrol", "show", "job", "--details", jobs_of(spec).at(0).id});
    EXPECT_THAT(shown.output, testing::Not(HasSubstr("secret")));
}

TEST_F(J4_Slurm, WhatSlurmRefusesIsAFailureWithItsWords) {
    options.sbatch_arguments = {"--partition=nowhere"};
    restart();
    const auto started = backend->start(part("a", "exit 0"));
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().message, HasSubstr("partition"));
    EXPECT_THAT(jobs_of(part("a", "")), IsEmpty());
}

TEST_F(J4_Slurm, RanksOfOneRunOnBothNodes) {
    options.sbatch_arguments = {"--nodes=2", "--ntasks=2"};
    restart();
    EXPECT_EQ(run(part("a", "srun sh -c 'echo \"rank $SLURM_PROCID on $SLURMD_NODENAME\"'")).kind, Kind::success);
    EXPECT_THAT(text_of(folder() / "log"), AllOf(HasSubstr("rank 0 on n1\n"), HasSubstr("rank 1 on n2\n")));
}

TEST_F(J4_Slurm, ARankGroupInsideUsesSrun) {
    options.sbatch_arguments = {"--nodes=2", "--ntasks=2"};
    restart();
    auto spec = part("a", "");
    spec.command = {RANKEXEC_COMMAND,
                    "launch",
                    "--launcher",
                    "srun",
                    "-n",
                    "2",
                    "--",
                    "/bin/sh",
                    "-c",
                    "echo \"rank $RANK of $WORLD_SIZE on $SLURMD_NODENAME\""};
    EXPECT_EQ(run(spec).kind, Kind::success);
    EXPECT_THAT(text_of(spec.log), AllOf(HasSubstr("rank 0 of 2 on n1"), HasSubstr("rank 1 of 2 on n2")));
}

TEST_F(J6_Slurm, StopEndsEverythingThatTheRunStarted) {
    const auto spec = part("a", "setsid sleep 1000 & echo $! > pid; echo up > up; sleep 1000");
    start(spec);
    wait_for_text(folder() / "up", "up\n");
    backend->stop("a");
    EXPECT_EQ(ends.wait_for("a").kind, Kind::stopped);
    EXPECT_EQ(jobs_of(spec).at(0).phase, SlurmJob::Phase::cancelled);
    std::ifstream in(folder() / "pid");
    pid_t left = 0;
    in >> left;
    ASSERT_GT(left, 0);
    EXPECT_NE(::kill(left, 0), 0);
}

TEST_F(J6_Slurm, ASoftStopLetsTheRunFinish) {
    start(part("a", "trap 'echo saved > saved; exit 0' TERM; echo up > up; while :; do sleep 1000 & wait; done"));
    wait_for_text(folder() / "up", "up\n");
    backend->stop("a");
    EXPECT_EQ(ends.wait_for("a").kind, Kind::stopped);
    EXPECT_EQ(text_of(folder() / "saved"), "saved\n");
}

TEST_F(J6_Slurm, OthersJobsAreLeftAlone) {
    const auto other =
        command({"sbatch", "--parsable", "--job-name=rankexec-other", "--output=/dev/null", "--wrap=sleep 1000"});
    const auto id = other.output.substr(0, other.output.find('\n'));
    start(part("a", "sleep 1000"));
    backend->stop("a");
    EXPECT_EQ(ends.wait_for("a").kind, Kind::stopped);
    const auto state = command({"squeue", "--noheader", "--states=all", "--jobs=" + id, "--format=%T"}).output;
    EXPECT_TRUE(state == "RUNNING\n" || state == "PENDING\n") << state;
    (void)command({"scancel", id});
}

TEST_F(J11_Slurm, ACancellationByAnotherIsADeath) {
    const auto spec = part("a", "echo up > up; sleep 1000");
    start(spec);
    wait_for_text(folder() / "up", "up\n");
    (void)command({"scancel", jobs_of(spec).at(0).id});
    const auto end = ends.wait_for("a");
    EXPECT_EQ(end.kind, Kind::killed);
    EXPECT_THAT(end.detail, HasSubstr("cancelled by another"));
}

TEST_F(J7_Slurm, ARunLivesOnWithoutItsSiteAndIsFoundAgain) {
    const auto spec = part("a", "echo up >> up; read code < " + fifo("go") + "; exit $code");
    start(spec);
    restart();
    EXPECT_TRUE(backend->adopt(spec));
    EXPECT_TRUE(backend->start(spec));
    wait_for_text(folder() / "up", "up\n");
    std::ofstream(folder() / "go") << "7\n";
    EXPECT_EQ(ends.wait_for("a").exit, (ExitStatus{false, 7}));
    EXPECT_EQ(text_of(folder() / "up"), "up\n");
    EXPECT_THAT(jobs_of(spec), SizeIs(1));
}

/// The site is killed at some moment of start(), and started anew: the run happens once.
TEST_F(J7_Slurm, ASiteThatIsKilledWhileItStartsARunStartsItOnce) {
    backend.reset();  // no thread in this process while it forks
    std::vector<RunSpec> specs;
    for (int i = 0; i < 12; ++i) {
        auto spec = part(std::to_string(i), "echo ran >> ran-" + std::to_string(i));
        const auto site = ::fork();
        ASSERT_GE(site, 0);
        if (site == 0) {
            SlurmBackend mine(options);
            (void)mine.start(spec);
            ::pause();
            ::_exit(1);
        }
        // Wherever it is then.
        std::this_thread::sleep_for(milliseconds(3 * i));
        ::kill(site, SIGKILL);
        EXPECT_EQ(::waitpid(site, nullptr, 0), site);
        specs.push_back(std::move(spec));
    }
    restart();
    for (const auto& spec : specs) start(spec);
    for (const auto& spec : specs) {
        EXPECT_EQ(ends.wait_for(spec.job).kind, Kind::success);
        EXPECT_EQ(text_of(folder() / ("ran-" + spec.job)), "ran\n") << spec.job;
    }
}

TEST_F(J11_Slurm, AnOutageIsNoVerdict) {
    const std::filesystem::path configuration = std::getenv("SLURM_CONF");
    std::ifstream in(configuration.parent_path() / "slurmctld.pid");
    pid_t controller = 0;
    in >> controller;
    ASSERT_GT(controller, 0);
    options.command_timeout = milliseconds(500);
    restart();
    const auto spec = part("a", "echo up > up; read code < " + fifo("go") + "; exit $code");
    start(spec);
    wait_for_text(folder() / "up", "up\n");
    ASSERT_EQ(::kill(controller, SIGSTOP), 0);
    // Longer than a command of it may take.
    std::this_thread::sleep_for(milliseconds(1500));
    EXPECT_TRUE(backend->runs("a"));
    std::ofstream(folder() / "go") << "7\n";
    std::this_thread::sleep_for(milliseconds(1500));
    EXPECT_THAT(ends.all(), IsEmpty());
    ASSERT_EQ(::kill(controller, SIGCONT), 0);
    EXPECT_EQ(ends.wait_for("a").exit, (ExitStatus{false, 7}));
}

}  // namespace
}  // namespace rankexec::job::test
