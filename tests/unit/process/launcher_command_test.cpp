// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "guarded_group.hpp"

namespace rankexec::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(LauncherCommand, ItsExitAndOutputAreReported) {
    GuardedGroup group(shell_launcher("echo started; echo trouble >&2; exit 3"));
    ASSERT_TRUE(group.run_until_gone());
    ASSERT_EQ(group.launcher_exited.size(), 1U);
    EXPECT_EQ(group.launcher_exited[0].status, (ExitStatus{false, 3}));
    EXPECT_THAT(group.launcher_exited[0].stderr_tail, ElementsAre("trouble"));
    EXPECT_THAT(group.output[-1], HasSubstr("started\n"));
    EXPECT_EQ(group.errors[-1], "trouble\n");
    EXPECT_TRUE(group.started.empty());
    EXPECT_EQ(group.order.back(), "SupervisionEnded");
}

TEST(LauncherCommand, AMissingOneIsReported) {
    auto supervise = shell_launcher("");
    supervise.program.argv = {"/nowhere/mpirun"};
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.not_started[-1].error, ENOENT);
    EXPECT_THAT(group.not_started[-1].message, HasSubstr("/nowhere/mpirun"));
}

TEST(LauncherCommand, TheGracefulSignalGoesToTheLauncherAlone) {
    GuardedGroup group(
        // Its trap comes first: the rank may say that it is up before its shell runs the next word.
        shell_launcher("trap 'kill -KILL $!; echo launcher got it; exit 9' TERM;"
                       "sh -c 'trap \"echo rank got it\" TERM; echo up; while :; do sleep 0.01; done' & wait; wait"));
    ASSERT_TRUE(group.run_until_output(-1, "up"));
    group.guardian->send(wire::EndGroup{60'000});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.launcher_exited.at(0).status, (ExitStatus{false, 9}));
    EXPECT_THAT(group.output[-1], testing::Not(HasSubstr("rank got it")));
}

TEST(LauncherCommand, RanksInSessionsOfTheirOwnDieWithTheForcedStep) {
    GuardedGroup group(
        shell_launcher("for i in 1 2 3; do setsid sh -c 'trap \"\" TERM; echo up; sleep 1000 & wait; wait' & done;"
                       "trap '' TERM; wait; wait; sleep 1000"));
    ASSERT_TRUE(group.run_until([&] { return group.output[-1] == "up\nup\nup\n"; }));
    group.guardian->send(wire::EndGroup{20});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_TRUE(group.ended.at(0).surviving_pids.empty());
    EXPECT_TRUE(processes_of(group.run_id).empty());
}

TEST(LauncherCommand, RanksThatOutliveItMayGoOn) {
    GuardedGroup group(shell_launcher("setsid sh -c 'sleep 0.2' > /dev/null 2>&1 & exit 0"));
    ASSERT_TRUE(group.run_until([&] { return !group.launcher_exited.empty(); }));
    EXPECT_TRUE(group.ended.empty());
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_TRUE(group.expected);
}

TEST(LauncherCommand, RanksThatOutliveItAreEndedOnRequest) {
    GuardedGroup group(
        shell_launcher("setsid sh -c 'trap \"\" TERM; sleep 1000 & wait; wait' > /dev/null 2>&1 & exit 0"));
    ASSERT_TRUE(group.run_until([&] { return !group.launcher_exited.empty(); }));
    group.guardian->send(wire::EndGroup{50});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_TRUE(processes_of(group.run_id).empty());
}

TEST(LauncherCommand, EndingStepsRunTheirCommandsWithTheStep) {
    std::string folder = testing::TempDir() + "/rankexec-steps-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    auto supervise = shell_launcher("trap '' TERM; echo up; while :; do sleep 0.01; done");
    supervise.graceful.signal = 0;
    supervise.graceful.command = {"sh", "-c", "echo graceful $0 > " + folder + "/graceful", "{step}"};
    supervise.forced.command = {"sh", "-c", "echo forced $0 > " + folder + "/forced", "job.{step}"};
    GuardedGroup group(supervise);
    group.guardian->send(wire::LauncherStep{"17.0"});
    ASSERT_TRUE(group.run_until_output(-1, "up"));
    group.guardian->send(wire::EndGroup{200});
    ASSERT_TRUE(group.run_until_gone());
    std::string line;
    std::getline(std::ifstream(folder + "/forced") >> std::ws, line);
    EXPECT_EQ(line, "forced job.17.0");
    std::getline(std::ifstream(folder + "/graceful") >> std::ws, line);
    EXPECT_EQ(line, "graceful 17.0");
    std::filesystem::remove_all(folder);
}

TEST(LauncherCommand, AStepThatIsNotKnownSkipsTheCommand) {
    auto supervise = shell_launcher("trap '' TERM; echo up; while :; do sleep 0.01; done");
    supervise.forced.command = {"sh", "-c", "sleep 1000", "{step}"};
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_output(-1, "up"));
    group.guardian->send(wire::EndGroup{0});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.launcher_exited.at(0).status, (ExitStatus{true, SIGKILL}));
}

TEST(LauncherCommand, ACommandThatHangsDelaysTheEndABoundedTime) {
    auto supervise = shell_launcher("trap '' TERM; echo up; while :; do sleep 0.01; done");
    supervise.forced.command = {"sleep", "1000"};
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_output(-1, "up"));
    group.guardian->send(wire::EndGroup{0});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_TRUE(processes_of(group.run_id).empty());
}

TEST(LauncherCommand, NoDescriptorOfOursReachesIt) {
    GuardedGroup group(shell_launcher(
        "for fd in /proc/self/fd/*; do n=${fd##*/}; [ -e $fd ] || continue; [ $n -le 2 ] || echo $n; done;"
        "echo ${RANKEXEC_PARENT_PIDFD-none}"));
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.output[-1], "none\n");
}

}  // namespace
}  // namespace rankexec::test
