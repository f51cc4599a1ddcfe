// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "guarded_group.hpp"

namespace rankexec::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

std::string content_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// A folder of its own, removed in the end.
class LogFolder : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "/rankexec-logs-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    void TearDown() override { fs::remove_all(folder_); }
    fs::path folder_;
};

using Output = LogFolder;

TEST_F(Output, ComesAsItWasWrittenWithAndWithoutLineBreak) {
    GuardedGroup group(shell_group(2, "printf 'one\\ntwo'; printf 'three\\nfour' >&2"));
    ASSERT_TRUE(group.run_until_gone());
    for (int rank = 0; rank < 2; ++rank) {
        EXPECT_THAT(group.output[rank], HasSubstr("one\ntwo"));
        EXPECT_EQ(group.errors[rank], "three\nfour");
        EXPECT_THAT(group.exited[rank].stderr_tail, ElementsAre("three", "four"));
        EXPECT_EQ(group.output_ends[rank], 1);
    }
}

TEST_F(Output, FramesOfACrashAreNoPartOfTheTail) {
    const std::string report =
        "echo before; echo 'rankexec: native stack after SIGSEGV:'; echo '  #0 a+0x1'; echo other thread;"
        "echo '  #1 b+0x2'; echo 'rankexec: end of stack'; echo after";
    GuardedGroup group(shell_group(1, "exec >&2; " + report));
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_THAT(group.exited[0].stderr_tail, ElementsAre("before", "other thread", "after"));
    EXPECT_THAT(group.exited[0].stack, ElementsAre("a+0x1", "b+0x2"));
    GuardedGroup torn(shell_group(1, "echo 'rankexec: native stack after SIGSEGV:' >&2"));
    ASSERT_TRUE(torn.run_until_gone());
    EXPECT_EQ(torn.exited[0].stderr_tail.size(), 1U);
    EXPECT_TRUE(torn.exited[0].stack.empty());
}

TEST_F(Output, TheTailIsTheLastLinesShortened) {
    GuardedGroup group(shell_group(
        1,
        "i=0; while [ $i -lt 100 ]; do echo line $i >&2; i=$((i+1)); done;"
        "head -c 5000 /dev/zero | tr '\\0' x >&2; echo >&2; printf '10%%\\r20%%\\r\\n' >&2; printf 'b\\377d' >&2"));
    ASSERT_TRUE(group.run_until_gone());
    const auto& tail = group.exited[0].stderr_tail;
    ASSERT_EQ(tail.size(), 20U);
    EXPECT_EQ(tail.front(), "line 83");
    EXPECT_THAT(tail[17], testing::MatchesRegex("x+ \\.\\.\\.\\(3976 bytes\\)\\.\\.\\. x+"));
    EXPECT_EQ(tail[18], "20%");
    EXPECT_EQ(tail[19],
              "b\xEF\xBF\xBD"
              "d");
}

TEST_F(Output, GoesToOneLogPerRankAndStream) {
    auto supervise = shell_group(2, "echo out $RANK; echo err $RANK >&2");
    supervise.log_directory = folder_ / "made" / "on demand";
    supervise.forward_output = false;
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(content_of(folder_ / "made/on demand/rank-1.out"), "out 1\n");
    EXPECT_EQ(content_of(folder_ / "made/on demand/rank-0.err"), "err 0\n");
    EXPECT_TRUE(group.output.empty());
    EXPECT_THAT(group.exited[0].stderr_tail, ElementsAre("err 0"));
}

TEST_F(Output, ALogThatCannotBeMadeIsAReasonNotToStart) {
    auto supervise = shell_group(1, "true");
    std::ofstream(folder_ / "file") << "in the way";
    supervise.log_directory = folder_ / "file";
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.not_started[0].error, 0);
    EXPECT_THAT(group.not_started[0].message, HasSubstr("rank-0.out"));
}

TEST_F(Output, ALogIsNoFifoWhoseReaderMayNeverCome) {
    ASSERT_EQ(::mkfifo((folder_ / "rank-0.err").c_str(), 0600), 0);
    auto supervise = shell_group(1, "true");
    supervise.log_directory = folder_;
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.not_started[0].error, 0);
    EXPECT_THAT(group.not_started[0].message, HasSubstr("rank-0.err': it exists and is no regular file"));
}

TEST_F(Output, AFullDiskEndsTheLogAndNotTheRank) {
    fs::create_symlink("/dev/full", folder_ / "rank-0.out");
    auto supervise = shell_group(1, "echo hello; exit 4");
    supervise.log_directory = folder_;
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.output[0], "hello\n");
    EXPECT_EQ(group.exited[0].status, (ExitStatus{false, 4}));
    EXPECT_THAT(group.exited[0].stderr_tail, ElementsAre(HasSubstr("No space left")));
    EXPECT_THAT(group.log_errors[0], HasSubstr("rank-0.out is incomplete: No space left"));
}

TEST_F(Output, WithoutCreditTheRankWaitsAndTheSupervisorDoesNot) {
    auto supervise = shell_group(2, "[ $RANK = 1 ] && exit 7; head -c 10000000 /dev/zero");
    supervise.output_credit = 1000;
    GuardedGroup group(supervise);
    group.grants = false;
    ASSERT_TRUE(group.run_until_exited(1));
    EXPECT_EQ(group.exited.begin()->first, 1);
    ASSERT_TRUE(group.run_until([&] { return group.output[0].size() == 1000; }));
    group.guardian->send(wire::RankOutputCredit{0, 77});
    ASSERT_TRUE(group.run_until([&] { return group.output[0].size() == 1077; }));
    // The rest needs credit a thousand times over: all of it comes, and only as granted.
    std::size_t granted = 1077;
    while (group.output_ends[0] == 0) {
        group.guardian->send(wire::RankOutputCredit{0, 9973});
        granted += 9973;
        ASSERT_TRUE(group.run_until([&] { return group.output[0].size() == granted || group.output_ends[0] == 1; }));
        ASSERT_LE(group.output[0].size(), granted);
    }
    EXPECT_EQ(group.output[0].size(), 10'000'000U);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_TRUE(group.exited[0].status.success());
}

TEST_F(Output, TheLogAndTheTailOfAnExitedRankNeedNoCredit) {
    auto supervise = shell_group(1, "head -c 50000 /dev/zero; echo last words >&2");
    supervise.output_credit = 10;
    supervise.log_directory = folder_;
    GuardedGroup group(supervise);
    group.grants = false;
    ASSERT_TRUE(group.run_until_exited(1));
    EXPECT_EQ(fs::file_size(folder_ / "rank-0.out"), 50000U);
    EXPECT_THAT(group.exited[0].stderr_tail, ElementsAre("last words"));
    EXPECT_EQ(group.output_ends.count(0), 0U);
    group.guardian->send(wire::RankOutputCredit{0, INT64_MAX});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.output[0].size(), 50000U + std::string("last words\n").size());
    EXPECT_EQ(group.output_ends[0], 1);
}

TEST_F(Output, OutputThatNobodyTakesDoesNotDelayARequestedEnd) {
    auto supervise = shell_group(1, "head -c 50000 /dev/zero");
    supervise.output_credit = 10;
    GuardedGroup group(supervise);
    group.grants = false;
    ASSERT_TRUE(group.run_until_exited(1));
    group.guardian->send(wire::EndGroup{0});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.output_ends[0], 1);
    EXPECT_TRUE(group.expected);
}

TEST_F(Output, ADescendantThatHoldsThePipeDoesNotDelayTheEnd) {
    auto supervise = shell_group(2, "[ $RANK = 1 ] && sleep 1000; setsid sleep 1000 & echo done; exit 0");
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until([&] { return group.output_ends[0] == 1; }));
    EXPECT_EQ(group.output[0], "done\n");
    EXPECT_EQ(group.exited.count(1), 0U);
    group.guardian->send(wire::EndGroup{1000});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_TRUE(processes_of(group.run_id).empty());
}

TEST_F(Output, AProgramThatClosesItsOutputStillEndsInOrder) {
    GuardedGroup group(shell_group(1, "exec > /dev/null 2>&1; sleep 0.05; exit 2"));
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_THAT(group.order, ElementsAre("RankStarted", "RankExited", "RankOutputEnd", "SupervisionEnded"));
}

class StandardInput : public testing::Test {
protected:
    static Bytes bytes(const std::string& text) {
        const auto* begin = reinterpret_cast<const std::byte*>(text.data());
        return {begin, begin + text.size()};
    }
};

TEST_F(StandardInput, GoesToRankZero) {
    auto supervise = shell_group(2, "cat; echo end");
    supervise.stdin_mode = wire::StdinMode::rank_zero;
    GuardedGroup group(supervise);
    group.guardian->send(wire::RankInput{0, bytes("to ")});
    group.guardian->send(wire::RankInput{0, bytes("zero\n")});
    group.guardian->send(wire::RankInput{1, bytes("to one\n")});
    group.guardian->send(wire::RankInput{0, {}});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.output[0], "to zero\nend\n");
    EXPECT_EQ(group.output[1], "end\n");
}

TEST_F(StandardInput, GoesToAllRanks) {
    auto supervise = shell_group(2, "cat");
    supervise.stdin_mode = wire::StdinMode::all;
    GuardedGroup group(supervise);
    group.guardian->send(wire::RankInput{0, bytes("to all\n")});
    group.guardian->send(wire::RankInput{0, {}});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.output[0], "to all\n");
    EXPECT_EQ(group.output[1], "to all\n");
}

TEST_F(StandardInput, MoreThanAPipeHoldsIsQueued) {
    auto supervise = shell_group(1, "sleep 0.05; wc -c");
    supervise.stdin_mode = wire::StdinMode::rank_zero;
    GuardedGroup group(supervise);
    for (int piece = 0; piece < 50; ++piece) {
        group.guardian->send(wire::RankInput{0, bytes(std::string(100'000, 'x'))});
    }
    group.guardian->send(wire::RankInput{0, {}});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.output[0], "5000000\n");
}

TEST_F(StandardInput, WhatIsTakenIsReported) {
    auto supervise = shell_group(1, "read begin; echo up; cat > /dev/null");
    supervise.stdin_mode = wire::StdinMode::rank_zero;
    GuardedGroup group(supervise);
    constexpr std::size_t kSize = 1'000'000;  // more than a pipe holds
    group.guardian->send(wire::RankInput{0, bytes(std::string(kSize, 'x'))});
    ASSERT_TRUE(group.run_until([&] { return group.input_taken[0] > 0; }));
    EXPECT_LT(group.input_taken[0], kSize);
    EXPECT_EQ(group.output[0], "");
    group.guardian->send(wire::RankInput{0, bytes("\n")});
    ASSERT_TRUE(group.run_until([&] { return group.input_taken[0] == kSize + 1; }));
    group.guardian->send(wire::RankInput{0, {}});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.output[0], "up\n");
}

TEST_F(StandardInput, WhatNobodyReadsCountsAsTaken) {
    auto supervise = shell_group(1, "exec < /dev/null; echo up; sleep 600");
    supervise.stdin_mode = wire::StdinMode::rank_zero;
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_output(0, "up"));
    group.guardian->send(wire::RankInput{0, bytes(std::string(1'000'000, 'x'))});
    ASSERT_TRUE(group.run_until([&] { return group.input_taken[0] == 1'000'000; }));
    group.guardian->send(wire::RankInput{0, bytes("more")});
    ASSERT_TRUE(group.run_until([&] { return group.input_taken[0] == 1'000'004; }));
    group.guardian->send(wire::EndGroup{0});
    ASSERT_TRUE(group.run_until_gone());
}

TEST_F(StandardInput, AProgramThatDoesNotReadItIsNotHarmed) {
    auto supervise = shell_group(1, "exec < /dev/null; echo up; sleep 0.05; exit 0");
    supervise.stdin_mode = wire::StdinMode::rank_zero;
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_output(0, "up"));
    group.guardian->send(wire::RankInput{0, bytes(std::string(1'000'000, 'x'))});
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_TRUE(group.exited[0].status.success());
    EXPECT_TRUE(group.expected);
}

}  // namespace
}  // namespace rankexec::test
