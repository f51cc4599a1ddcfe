// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "guarded_group.hpp"

namespace rankexec::test {
namespace {

using testing::HasSubstr;

TEST(DirectGroup, ExitCodesSignalsAndTheEnd) {
    GuardedGroup group(shell_group(4, "case $RANK in 1) exit 3;; 2) kill -SEGV $$;; 3) kill -KILL $$;; esac"));
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.started.size(), 4U);
    EXPECT_EQ(group.exited[0].status, (ExitStatus{false, 0}));
    EXPECT_EQ(group.exited[1].status, (ExitStatus{false, 3}));
    EXPECT_EQ(group.exited[2].status, (ExitStatus{true, SIGSEGV}));
    EXPECT_EQ(group.exited[3].status, (ExitStatus{true, SIGKILL}));
    for (const auto& [rank, exit] : group.exited) EXPECT_FALSE(exit.by_us);
    for (int rank = 0; rank < 4; ++rank) EXPECT_EQ(group.output_ends[rank], 1);
    ASSERT_EQ(group.ended.size(), 1U);
    EXPECT_TRUE(group.ended[0].surviving_pids.empty());
    EXPECT_TRUE(group.expected);
    EXPECT_EQ(group.order.back(), "SupervisionEnded");
    EXPECT_TRUE(processes_of(group.run_id).empty());
}

TEST(DirectGroup, EveryRankHasItsOwnEnvironmentOverTheCommonOne) {
    auto supervise = shell_group(2, "echo \"$RANK $COMMON $OWN $RANKEXEC_RUN_ID ${RANKEXEC_BOOTSTRAP_FD-none}\"");
    supervise.program.environment.emplace_back("COMMON=yes");
    supervise.program.environment.emplace_back("OWN=common");
    supervise.program.environment.emplace_back("RANKEXEC_BOOTSTRAP_FD=7");
    supervise.ranks[1].environment.emplace_back("OWN=special");
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.output[0], "0 yes common " + supervise.run_id + " none\n");
    EXPECT_EQ(group.output[1], "1 yes special " + supervise.run_id + " none\n");
}

TEST(DirectGroup, TheBootstrapComesInASealedDescriptor) {
    auto supervise = shell_group(1, "f=/proc/self/fd/$RANKEXEC_BOOTSTRAP_FD; cat $f; echo no >> $f");
    for (const char character : std::string("secret\n")) {
        supervise.ranks[0].bootstrap.push_back(static_cast<std::byte>(character));
    }
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_THAT(group.output[0], HasSubstr("secret\n"));
    EXPECT_THAT(group.errors[0], HasSubstr("I/O error"));  // EPERM, as the shell says it
}

TEST(DirectGroup, RanksGetOnlyTheDescriptorsThatAreTheirs) {
    auto supervise =
        shell_group(1,
                    "for fd in /proc/self/fd/*; do n=${fd##*/}; [ -e $fd ] || continue; "
                    "[ $n -le 2 ] || echo \"$n $(readlink $fd)\"; done; echo pidfd $RANKEXEC_PARENT_PIDFD");
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_gone());
    const auto& text = group.output[0];
    EXPECT_THAT(text, HasSubstr("pidfd 4"));
    EXPECT_THAT(text, testing::MatchesRegex("4 [^\n]*pidfd[^\n]*\npidfd 4\n"));
}

TEST(DirectGroup, RanksAreInTheGroupsControlGroupFromTheBeginning) {
    // Without its arguments it fails in any case, and says whether the kernel knows it and we may call it.
    if (::syscall(SYS_clone3, nullptr, 0) == 0 || errno != EINVAL) GTEST_SKIP() << "no process can be made with clone3";
    GuardedGroup group(shell_group(4, "cat /proc/self/cgroup; exec sleep 1000"));
    ASSERT_TRUE(group.run_until_started(4));
    const auto folders = control_groups_of(group.run_id);
    for (int rank = 0; rank < 4; ++rank) ASSERT_TRUE(group.run_until_output(rank, "0::"));
    group.guardian->send(wire::EndGroup{100});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_TRUE(control_groups_of(group.run_id).empty());
    if (folders.empty()) GTEST_SKIP() << "no control group can be made here";
    for (int rank = 0; rank < 4; ++rank) EXPECT_THAT(group.output[rank], HasSubstr("/rankexec-" + group.run_id));
}

TEST(DirectGroup, SignalMaskAndDispositionsAreTheDefaultOnes) {
    GuardedGroup group(shell_group(1, "grep -E '^Sig(Blk|Ign)' /proc/self/status"));
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.output[0], "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(DirectGroup, EachRankLeadsAProcessGroup) {
    GuardedGroup group(shell_group(2, "read -r stat < /proc/self/stat; set -- $stat; echo $5"));
    ASSERT_TRUE(group.run_until_gone());
    for (int rank = 0; rank < 2; ++rank) {
        EXPECT_EQ(group.output[rank], std::to_string(group.started[rank].pid) + "\n");
    }
}

TEST(DirectGroup, AMissingProgramIsReportedWithItsErrno) {
    auto supervise = shell_group(2, "");
    supervise.program.argv = {"/nowhere/to be found"};
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.not_started.size(), 2U);
    EXPECT_EQ(group.not_started[1].error, ENOENT);
    EXPECT_THAT(group.not_started[1].message, HasSubstr("/nowhere/to be found"));
    EXPECT_TRUE(group.exited.empty());
    EXPECT_TRUE(group.expected);
}

TEST(DirectGroup, AProgramThatIsNotInPathIsReportedWithThePath) {
    auto supervise = shell_group(1, "");
    supervise.program.argv = {"no-such-program-anywhere"};
    supervise.program.environment = {"PATH=/usr/bin:/bin"};
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.not_started[0].error, ENOENT);
    EXPECT_THAT(group.not_started[0].message, HasSubstr("not found in PATH (/usr/bin:/bin)"));
}

TEST(DirectGroup, AMissingWorkingDirectoryIsReported) {
    auto supervise = shell_group(1, "pwd");
    supervise.program.directory = "/nowhere";
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.not_started[0].error, 0);
    EXPECT_THAT(group.not_started[0].message, HasSubstr("working directory '/nowhere'"));
}

TEST(DirectGroup, OneMissingProgramLeavesTheOthersToThePolicyOfTheParent) {
    auto supervise = shell_group(2, "sleep 1000");
    supervise.ranks[1].environment.emplace_back("PATH=/nowhere");
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until([&] { return !group.not_started.empty(); }));
    EXPECT_EQ(group.not_started.begin()->first, 1);
    EXPECT_EQ(group.started.size(), 1U);
    group.guardian->send(wire::EndGroup{0});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.exited[0].status, (ExitStatus{true, SIGKILL}));
    EXPECT_TRUE(group.exited[0].by_us);
}

TEST(DirectGroup, TheGracefulStepLetsRanksEndByThemselves) {
    GuardedGroup group(
        shell_group(2, "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.01; done 2> /dev/null"));
    ASSERT_TRUE(group.run_until_output(0, "up") && group.run_until_output(1, "up"));
    group.guardian->send(wire::EndGroup{60'000});
    ASSERT_TRUE(group.run_until_gone());
    for (int rank = 0; rank < 2; ++rank) {
        EXPECT_EQ(group.exited[rank].status, (ExitStatus{false, 5}));
        EXPECT_TRUE(group.exited[rank].by_us);
        EXPECT_THAT(group.output[rank], testing::StartsWith("up\nbye\n"));
    }
}

TEST(DirectGroup, TheForcedStepEndsRanksThatIgnoreTheGracefulOne) {
    GuardedGroup group(shell_group(2, "trap '' TERM; echo up; while :; do sleep 0.01; done"));
    ASSERT_TRUE(group.run_until_output(0, "up") && group.run_until_output(1, "up"));
    group.guardian->send(wire::EndGroup{100});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.exited[1].status, (ExitStatus{true, SIGKILL}));
}

TEST(DirectGroup, ALaterEndCanOnlyShortenTheGrace) {
    GuardedGroup group(shell_group(1, "trap '' TERM; echo up; while :; do sleep 0.01; done"));
    ASSERT_TRUE(group.run_until_output(0, "up"));
    group.guardian->send(wire::EndGroup{3'600'000});
    group.guardian->send(wire::EndGroup{50});
    group.guardian->send(wire::EndGroup{3'600'000});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.exited[0].status, (ExitStatus{true, SIGKILL}));
}

TEST(DirectGroup, StoppedRanksGetTheGracefulSignal) {
    GuardedGroup group(shell_group(1, "trap 'exit 6' TERM; echo up; kill -STOP $$; while :; do sleep 0.01; done"));
    ASSERT_TRUE(group.run_until_output(0, "up"));
    group.guardian->send(wire::EndGroup{60'000});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.exited[0].status, (ExitStatus{false, 6}));
}

TEST(DirectGroup, SignalsReachTheWholeProcessGroupOfEachRank) {
    GuardedGroup group(shell_group(2,
                                   "trap 'echo outer' USR1;"
                                   "(trap 'echo inner; exit' USR1; echo up; while :; do sleep 0.01; done) &"
                                   "wait; wait; exit 0"));
    ASSERT_TRUE(group.run_until_output(0, "up") && group.run_until_output(1, "up"));
    group.guardian->send(wire::SignalRanks{SIGUSR1});
    ASSERT_TRUE(group.run_until_gone());
    for (int rank = 0; rank < 2; ++rank) {
        EXPECT_THAT(group.output[rank], HasSubstr("inner"));
        EXPECT_THAT(group.output[rank], HasSubstr("outer"));
        EXPECT_TRUE(group.exited[rank].status.success());
    }
}

TEST(DirectGroup, WhatRanksLeaveBehindIsEndedWithTheGroup) {
    GuardedGroup group(
        shell_group(2, "setsid sh -c 'trap \"\" TERM HUP; sleep 1000 & wait' > /dev/null 2>&1 & exit 0"));
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_TRUE(group.expected);
    ASSERT_EQ(group.ended.size(), 1U);
    EXPECT_TRUE(group.ended[0].surviving_pids.empty());
    EXPECT_TRUE(processes_of(group.run_id).empty());
}

TEST(DirectGroup, TheRunDirectoryIsRemovedAndNothingOutsideOfIt) {
    std::string base = testing::TempDir() + "/rankexec-test-XXXXXX";
    ASSERT_NE(::mkdtemp(base.data()), nullptr);
    const std::filesystem::path outside = base + "/outside";
    const std::filesystem::path inside = base + "/run";
    std::filesystem::create_directories(outside / "kept");
    std::filesystem::create_directories(inside / "deep" / "deeper");
    ::chmod(inside.c_str(), 0700);
    std::ofstream(inside / "deep" / "file") << "content";
    std::filesystem::create_symlink(outside, inside / "link");
    auto supervise = shell_group(1, "true");
    supervise.run_directory = inside;
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_FALSE(std::filesystem::exists(inside));
    EXPECT_TRUE(std::filesystem::exists(outside / "kept"));
    std::filesystem::remove_all(base);
}

}  // namespace
}  // namespace rankexec::test
