// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <csignal>
#include <fstream>
#include <set>
#include <sstream>

#include "group_run.hpp"

// The same expectations of every launcher, each the real one. Slurm's run within with_slurm.
namespace rankexec {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr milliseconds kGrace{20'000};

/// A launcher of its own kind: starts N processes and says nothing but RANK.
constexpr const char* kTemplate =
    "sh -c 'trap \"trap : TERM; kill -TERM 0\" TERM; i=0; while [ $i -lt {n} ]; do RANK=$i \"$@\" & i=$((i+1)); done; "
    "wait' "
    "sh {rank_program}";

class Launcher : public testing::TestWithParam<const char*> {
protected:
    static GroupOptions options(int world_size, const std::string& script) {
        GroupOptions result;
        result.launcher = GetParam();
        result.world_size = world_size;
        result.program = {"sh", "-c", script};
        if (result.launcher == "command") result.command_template = kTemplate;
        return result;
    }
    /// Runs to the end; every rank's report must have come, and nothing may be left.
    static void run(GroupRun& group, int world_size) {
        ASSERT_TRUE(group.run()) << group.lost->message;
        EXPECT_FALSE(group.lost) << group.lost->describe() << group.output[-1];
        EXPECT_TRUE(group.surviving.empty());
        EXPECT_EQ(group.exited.size(), static_cast<std::size_t>(world_size)) << group.output[-1];
    }
};

TEST_P(Launcher, TellsEachRankItsPlace) {
    constexpr int kRanks = 3;
    auto group_options = options(
        kRanks, "echo $RANK $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE $CUDA_VISIBLE_DEVICES \"$MINE\" $MASTER_ADDR");
    group_options.environment = {"MINE=a  b", "CUDA_VISIBLE_DEVICES=5,6,7"};
    group_options.gpus_per_rank = 1;
    GroupRun group(group_options);
    run(group, kRanks);
    for (int rank = 0; rank < kRanks; ++rank) {
        std::istringstream line(group.output[rank]);
        int said_rank = -1;
        int world_size = -1;
        int local_rank = -1;
        int local_world_size = -1;
        int device = -1;
        std::string rest;
        line >> said_rank >> world_size >> local_rank >> local_world_size >> device;
        std::getline(line, rest);
        EXPECT_EQ(said_rank, rank);
        EXPECT_EQ(world_size, kRanks);
        EXPECT_GE(local_rank, 0);
        EXPECT_LT(local_rank, local_world_size);
        EXPECT_EQ(device, 5 + local_rank);
        EXPECT_THAT(rest, HasSubstr(" a  b "));
        EXPECT_EQ(group.exited[rank].status, (ExitStatus{false, 0}));
        EXPECT_GT(group.started[rank].pid, 0);
    }
}

TEST_P(Launcher, HandsOverArgumentsUnchanged) {
    auto group_options = options(2, "");
    group_options.program = {"printf",    "[%s]", "a b", ":", "", "'\"$HOME $$ ${local_rank} 100%",
                             "new\nline", "-x",   "--"};
    GroupRun group(group_options);
    run(group, 2);
    for (int rank = 0; rank < 2; ++rank)
        EXPECT_EQ(group.output[rank], "[a b][:][]['\"$HOME $$ ${local_rank} 100%][new\nline][-x][--]");
}

TEST_P(Launcher, ReportsTheFailingRanksOwnExitCodeAndGivesTheOthersTheirGrace) {
    constexpr int kRanks = 3;
    // Ready ranks say so; rank 1 fails once both others are. These need longer than any launcher would
    // give them by itself.
    std::set<int> ready;
    GroupOptions with_input = options(kRanks,
                                      "if [ $RANK = 1 ]; then read go; exit 7; fi\n"
                                      "trap 'sleep 3; echo saved; exit 0' TERM\n"
                                      "echo ready; while :; do sleep 0.05; done");
    with_input.stdin_mode = wire::StdinMode::all;
    GroupRun fed(with_input);
    // Rank 1 may be the last to start, and input for a rank that is not there yet is lost.
    const auto let_it_fail = [&] {
        if (ready.size() == 2 && fed.started.contains(1)) fed.group().write_input({std::byte{'\n'}});
    };
    fed.on_started = [&](const wire::RankStarted&) { let_it_fail(); };
    fed.on_output = [&](const wire::RankOutput& report) {
        if (fed.output[report.rank] == "ready\n" && ready.insert(report.rank).second) let_it_fail();
    };
    fed.on_exited = [&](const wire::RankExited& report) {
        if (report.rank == 1) fed.group().request_end(kGrace);
    };
    run(fed, kRanks);
    EXPECT_EQ(fed.exited[1].status, (ExitStatus{false, 7}));
    EXPECT_FALSE(fed.exited[1].by_us);
    for (const int rank : {0, 2}) {
        EXPECT_EQ(fed.exited[rank].status, (ExitStatus{false, 0})) << "rank " << rank;
        EXPECT_THAT(fed.output[rank], testing::EndsWith("saved\n")) << "rank " << rank;
    }
}

TEST_P(Launcher, ReportsTheSignalThatKilledARank) {
    GroupRun group(options(2, "if [ $RANK = 1 ]; then kill -KILL $$; fi; exec sleep 1000"));
    group.on_exited = [&](const wire::RankExited& report) {
        if (report.rank == 1) group.group().request_end(kGrace);
    };
    run(group, 2);
    EXPECT_EQ(group.exited[1].status, (ExitStatus{true, SIGKILL}));
    EXPECT_FALSE(group.exited[1].by_us);
    EXPECT_EQ(group.exited[0].status, (ExitStatus{true, SIGTERM}));
    EXPECT_TRUE(group.exited[0].by_us);
}

TEST_P(Launcher, EndsWhatIgnoresTheGracefulStepAndAllThatItStarted) {
    GroupRun group(options(2,
                           "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & "
                           "echo ready; while :; do sleep 1; done"));
    std::set<int> ready;
    group.on_output = [&](const wire::RankOutput& report) {
        if (report.rank >= 0) ready.insert(report.rank);
        if (ready.size() == 2) group.group().request_end(milliseconds(100));
    };
    run(group, 2);
    for (const int rank : {0, 1}) EXPECT_EQ(group.exited[rank].status, (ExitStatus{true, SIGKILL}));
}

TEST_P(Launcher, AProgramThatDoesNotExistIsReportedByEveryRank) {
    auto group_options = options(2, "");
    group_options.program = {"/no/such/program"};
    GroupRun group(group_options);
    group.on_exited = [&](const wire::RankExited&) {
        if (group.exited.size() == 2) group.group().request_end(kGrace);
    };
    run(group, 2);
    for (const int rank : {0, 1}) {
        EXPECT_EQ(group.exited[rank].status, (ExitStatus{false, 127}));
        ASSERT_FALSE(group.exited[rank].stderr_tail.empty());
        EXPECT_THAT(group.exited[rank].stderr_tail.front(), HasSubstr("/no/such/program"));
    }
}

TEST_P(Launcher, SupervisorsThatAreKilledLoseTheGroup) {
    GroupRun group(options(2, "kill -KILL $PPID; exec sleep 1000"));
    ASSERT_TRUE(group.run()) << group.lost->message;
    EXPECT_TRUE(group.lost);
    EXPECT_TRUE(group.surviving.empty());
}

class LauncherWithShims : public Launcher {};

/// A stopped supervisor keeps its connection, and is silent.
TEST_P(LauncherWithShims, SupervisorsThatAreSilentLoseTheGroup) {
    auto group_options = options(2, "[ $RANK = 0 ] && kill -STOP $PPID; exec sleep 1000");
    group_options.heartbeat_timeout = milliseconds(200);
    GroupRun group(group_options);
    ASSERT_TRUE(group.run()) << group.lost->message;
    ASSERT_TRUE(group.lost);
    EXPECT_THAT(group.lost->message, HasSubstr("cannot be reached"));
    EXPECT_TRUE(group.surviving.empty());
}

INSTANTIATE_TEST_SUITE_P(Real, LauncherWithShims, testing::Values("mpirun", "command"),
                         [](const auto& info) { return std::string(info.param); });

/// The guardian's own children are its ranks.
class LauncherWithoutShims : public Launcher {};

TEST_P(LauncherWithoutShims, AGuardianThatIsSilentIsKilledAndItsRanksWithIt) {
    GroupRun group(options(2, "exec sleep 1000"));
    group.on_started = [&](const wire::RankStarted& report) {
        std::ifstream stat("/proc/" + std::to_string(report.pid) + "/stat");
        std::string word;
        pid_t parent = 0;
        stat >> word >> word >> word >> parent;
        ASSERT_GT(parent, 1);
        ASSERT_NE(parent, ::getpid());
        ::kill(parent, SIGSTOP);
        group.group().request_end(milliseconds(0));
    };
    ASSERT_TRUE(group.run()) << group.lost->message;
    EXPECT_TRUE(group.lost);
    EXPECT_TRUE(group.surviving.empty());
}

INSTANTIATE_TEST_SUITE_P(Real, LauncherWithoutShims, testing::Values("local"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Launcher, ForwardsEveryByteOfOutputAndInputToRankZero) {
    auto group_options = options(2, "head -c 3000000 /dev/zero | tr '\\0' x; if [ $RANK = 0 ]; then cat; fi");
    group_options.stdin_mode = wire::StdinMode::rank_zero;
    GroupRun group(group_options);
    group.on_started = [&](const wire::RankStarted& report) {
        if (report.rank != 0) return;
        group.group().write_input({std::byte{'h'}, std::byte{'i'}});
        group.group().write_input({});
    };
    run(group, 2);
    EXPECT_EQ(group.output[0], std::string(3'000'000, 'x') + "hi");
    EXPECT_EQ(group.output[1], std::string(3'000'000, 'x'));
}

INSTANTIATE_TEST_SUITE_P(Real, Launcher, testing::Values("local", "mpirun", "hydra", "torchrun", "command", "srun"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace rankexec
