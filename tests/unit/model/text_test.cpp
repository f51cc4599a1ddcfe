// SPDX-License-Identifier: Apache-2.0
// What people get to read: UTF-8, rank lists, failures, suggestions.
#include <gtest/gtest.h>

#include <algorithm>

#include "rankexec/core/component/nearest_name.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/rank_list.hpp"
#include "rankexec/core/model/utf8.hpp"

namespace rankexec {
namespace {

constexpr std::string_view kReplaced = "\xef\xbf\xbd";

TEST(Utf8, WellFormedTextStaysAsItIs) {
    for (const std::string_view text : {"", "plain", "gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\x7f",
                                        "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"}) {
        EXPECT_EQ(replace_invalid_utf8(text), text);
    }
    EXPECT_EQ(replace_invalid_utf8(std::string_view("a\0b", 3)), std::string_view("a\0b", 3));
}

TEST(Utf8, EveryByteThatIsNoPartOfACharacterIsReplaced) {
    const auto times = [](int count) {
        std::string out;
        for (; count > 0; --count) out += kReplaced;
        return out;
    };
    EXPECT_EQ(replace_invalid_utf8("\x80"), times(1));
    EXPECT_EQ(replace_invalid_utf8("a\xffz"), "a" + times(1) + "z");
    EXPECT_EQ(replace_invalid_utf8("\xc0\xaf"), times(2));          // overlong
    EXPECT_EQ(replace_invalid_utf8("\xe0\x80\xaf"), times(3));      // overlong
    EXPECT_EQ(replace_invalid_utf8("\xed\xa0\x80"), times(3));      // surrogate
    EXPECT_EQ(replace_invalid_utf8("\xf4\x90\x80\x80"), times(4));  // above U+10FFFF
    EXPECT_EQ(replace_invalid_utf8("\xe2\x82"), times(2));          // cut off
    EXPECT_EQ(replace_invalid_utf8("\xe2\x82z"), times(2) + "z");
    EXPECT_EQ(replace_invalid_utf8("\xc3\xc3\xbc"), times(1) + "\xc3\xbc");
}

TEST(RankList, IsSortedAndFolded) {
    const auto format = [](std::vector<int> ranks) { return format_ranks(ranks); };
    const auto name = [](std::vector<int> ranks) { return name_ranks(ranks, " is", " are"); };
    EXPECT_EQ(name({1, 1}), "rank 1 is");
    EXPECT_EQ(name({1, 3}), "ranks 1,3 are");
    EXPECT_EQ(name({0, 1, 2}), "ranks 0-2 are");
    EXPECT_EQ(format({}), "");
    EXPECT_EQ(format({5}), "5");
    EXPECT_EQ(format({1, 0}), "0,1");
    EXPECT_EQ(format({3, 0, 1, 2, 7}), "0-3,7");
    EXPECT_EQ(format({4, 4, 4}), "4");
    EXPECT_EQ(format({9, 2, 3, 5, 6, 7}), "2,3,5-7,9");
}

TEST(ExitStatus, ReadsAsInAShell) {
    EXPECT_EQ(to_string(ExitStatus{false, 3}), "exit code 3");
    EXPECT_EQ(to_string(ExitStatus{true, 9}), "signal 9 (SIGKILL)");
    EXPECT_EQ(to_string(ExitStatus{true, 1000}), "signal 1000");
    EXPECT_EQ((ExitStatus{false, 3}).shell_code(), 3);
    EXPECT_EQ((ExitStatus{true, 9}).shell_code(), 137);
    EXPECT_TRUE(ExitStatus{}.success());
    EXPECT_FALSE((ExitStatus{true, 0}).success());
}

Failure a_failure() {
    Failure failure;
    failure.code = ReturnCode::execution_exception;
    failure.message = "rank 2 ended";
    failure.rank = 2;
    failure.host = "node-1";
    failure.pid = 4711;
    failure.exit = ExitStatus{true, 9};
    failure.ranks = {0, 1, 2};
    failure.stderr_tail = {"last words"};
    return failure;
}

TEST(Failure, DescribesEverythingItKnows) {
    EXPECT_EQ(a_failure().describe(),
              "execution_exception: rank 2 ended\n"
              "  rank 2 on node-1, pid 4711, signal 9 (SIGKILL)\n"
              "  ranks concerned: 0-2\n"
              "  last lines of its standard error:\n"
              "    last words");
}

TEST(Failure, FoldsRanksThatFailedInTheSameWay) {
    auto failure = a_failure();
    failure.others = {{0, "signal 9 (SIGKILL)"}, {1, "connection closed"}, {3, "signal 9 (SIGKILL)"}};
    failure.log_directory = "/logs";
    failure.task = "train";
    failure.out_of_memory = true;
    failure.others[0].what = failure.others[2].what = "signal 9 (SIGKILL), out of memory: killed by the kernel";
    EXPECT_EQ(failure.describe(),
              "execution_exception: rank 2 ended\n"
              "  rank 2 on node-1, pid 4711, signal 9 (SIGKILL), out of memory: killed by the kernel, task \"train\"\n"
              "  ranks 0,3: the same; rank 1: connection closed\n"
              "  last lines of its standard error (full output: /logs/rank-2.out, /logs/rank-2.err):\n"
              "    last words");
    failure.stderr_tail.clear();
    EXPECT_TRUE(failure.describe().ends_with("\n  full output: /logs/rank-2.out, /logs/rank-2.err"));
}

TEST(Failure, FoldsEqualStacksAndSaysWhereThereAreNone) {
    Failure failure;
    failure.code = ReturnCode::task_timeout;
    failure.message = "too late";
    failure.ranks = {0, 1, 2};
    failure.stacks = {{0, {"poll", "main"}, ""}, {1, {}, "no answer"}, {2, {"poll", "main"}, ""}};
    EXPECT_EQ(failure.describe(),
              "task_timeout: too late\n"
              "  stack of ranks 0,2:\n"
              "    #0 poll\n"
              "    #1 main\n"
              "  rank 1: no stack: no answer");
}

TEST(Failure, WithoutAMessageItsHeadIsWhoEndedAndHow) {
    auto failure = a_failure();
    failure.message.clear();
    failure.ranks.clear();
    EXPECT_EQ(failure.describe(),
              "rank 2 on node-1, pid 4711 failed: signal 9 (SIGKILL)\n"
              "  last lines of its standard error:\n"
              "    last words");
    failure.pid = 0;
    failure.host.clear();
    failure.exit = ExitStatus{false, 127};
    EXPECT_EQ(failure.headline(), "rank 2 could not be started: exit code 127");
}

TEST(Failure, HasTwentyLinesOfStandardErrorAndAFewOfManyStacks) {
    auto failure = a_failure();
    failure.log_directory = "/logs";
    failure.others = {{0, "exit code 1"}};
    failure.stderr_tail.clear();
    for (int line = 1; line <= 20; ++line) failure.stderr_tail.push_back("line " + std::to_string(line));
    const auto lines = [&] { return std::ranges::count(failure.describe(), '\n') + 1; };
    EXPECT_NE(failure.describe().find("    line 1\n"), std::string::npos);
    EXPECT_EQ(lines(), 24);
    for (int rank = 0; rank < 40; ++rank) {
        failure.stacks.push_back({rank, std::vector<std::string>(64, "frame of " + std::to_string(rank)), ""});
    }
    EXPECT_NE(failure.describe().find("    line 1\n"), std::string::npos);
    EXPECT_LE(lines(), 36);
}

TEST(Failure, IsSafeOnATerminal) {
    auto failure = a_failure();
    failure.message = "\x1b[2Jgone";
    failure.stderr_tail = {"\x1b]0;title\x07red"};
    EXPECT_EQ(failure.describe().find('\x1b'), std::string::npos);
}

TEST(Failure, LeavesOutWhatItDoesNotKnow) {
    Failure failure;
    failure.code = ReturnCode::launch_error;
    EXPECT_EQ(failure.describe(), "launch_error");
    failure.host = "node-1";
    EXPECT_EQ(failure.describe(), "launch_error\n  host node-1");
    failure.host.clear();
    failure.exit = ExitStatus{false, 1};
    EXPECT_EQ(failure.describe(), "launch_error\n  exit code 1");
}

TEST(Failure, FitsOnOneScreenAndIsText) {
    auto failure = a_failure();
    failure.message = "first\nsecond\n\xff";
    failure.host = "\xff";
    failure.stderr_tail.assign(1000, "line\nand\nmore");
    failure.stderr_tail.push_back(std::string(10'000, 'x') + "\xff");
    const auto text = failure.describe();
    EXPECT_LE(std::ranges::count(text, '\n') + 1, 24);
    EXPECT_LE(text.size(), 24U * 210);
    EXPECT_EQ(replace_invalid_utf8(text), text);
    EXPECT_NE(text.find("xxx"), std::string::npos) << "the last line matters most";
}

TEST(NearestName, FindsWhatWasMeant) {
    const std::vector<std::string> names{"epochs", "learning_rate", "shard", "seed"};
    EXPECT_EQ(nearest_name("epoch", names), "epochs");
    EXPECT_EQ(nearest_name("learningrate", names), "learning_rate");
    EXPECT_EQ(nearest_name("lerning_rte", names), "learning_rate");
    EXPECT_EQ(nearest_name("seed", names), "seed");
    EXPECT_EQ(nearest_name("completely_different", names), "");
    EXPECT_EQ(nearest_name("", names), "");
    EXPECT_EQ(nearest_name("x", {}), "");
    EXPECT_EQ(nearest_name(std::string(100'000, 'x'), names), "");
}

}  // namespace
}  // namespace rankexec
