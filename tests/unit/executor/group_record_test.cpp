// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/group_record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

namespace rankexec {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class GroupRecordTest : public testing::Test {
protected:
    GroupRecordTest() {
        for (int rank = 0; rank < 6; ++rank) record.add_started({rank, 100 + rank, "node1"});
    }

    void exit(int rank, ExitStatus status, std::chrono::milliseconds when, bool by_us = false,
              std::vector<std::string> tail = {}) {
        record.add_exited({rank, status, by_us, std::move(tail), false, {}}, GroupRecord::Clock::time_point(when));
    }

    GroupRecord record{6};
};

TEST_F(GroupRecordTest, AllGoodHasNoCause) {
    for (int rank = 0; rank < 6; ++rank) exit(rank, {}, 1ms);
    EXPECT_FALSE(record.any_failed());
    EXPECT_TRUE(record.all_exited());
    EXPECT_FALSE(record.cause().has_value());
}

TEST_F(GroupRecordTest, TheFirstFailureIsTheCause) {
    exit(0, {}, 0ms);
    exit(4, {false, 3}, 1ms);
    exit(1, {false, 1}, 2ms);
    EXPECT_EQ(record.cause(), 4);
    EXPECT_THAT(record.running(), ElementsAre(2, 3, 5));
}

TEST_F(GroupRecordTest, ASignalGoesBeforeAnExitCodeWithinTheSettleTime) {
    exit(1, {false, 1}, 0ms);
    exit(4, {true, SIGSEGV}, 5ms);
    EXPECT_EQ(record.cause(), 4);
}

TEST_F(GroupRecordTest, ABrokenPipeIsNobodysCauseBesideAnotherFailure) {
    exit(1, {true, SIGPIPE}, 0ms);
    EXPECT_EQ(record.cause(), 1);
    exit(4, {false, 3}, 5ms);
    EXPECT_EQ(record.cause(), 4);
}

TEST_F(GroupRecordTest, WhatFailsLaterIsAConsequence) {
    exit(1, {false, 1}, 0ms);
    exit(4, {true, SIGABRT}, 50ms);
    EXPECT_EQ(record.cause(), 1);
}

TEST_F(GroupRecordTest, WhomWeEndedDidNotFail) {
    exit(1, {true, SIGTERM}, 0ms, true);
    EXPECT_FALSE(record.any_failed());
    exit(2, {false, 7}, 1ms);
    EXPECT_EQ(record.cause(), 2);
}

TEST_F(GroupRecordTest, CardSaysWhoHowAndWhere) {
    exit(2, {false, 3}, 0ms, false, {"Traceback", "ValueError: \x1b[31mno data\x1b[0m"});
    EXPECT_EQ(record.failure().describe(),
              "rank 2 on node1, pid 102 failed: exit code 3\n"
              "  last lines of its standard error:\n"
              "    Traceback\n"
              "    ValueError: no data");
}

TEST_F(GroupRecordTest, CardNamesSignals) {
    exit(2, {true, SIGKILL}, 0ms);
    EXPECT_THAT(record.failure().describe(), HasSubstr("signal 9 (SIGKILL)"));
}

TEST_F(GroupRecordTest, CardTellsOfMemoryAndOfACrash) {
    wire::RankExited killed{2, {true, SIGKILL}, false, {}, true, {}};
    record.add_exited(killed, {});
    EXPECT_EQ(record.failure().describe(),
              "rank 2 on node1, pid 102 failed: signal 9 (SIGKILL), out of memory: killed by the kernel");
    GroupRecord crashed(1);
    crashed.add_exited({0, {true, SIGSEGV}, false, {}, false, {"prog+0x1"}}, {});
    EXPECT_THAT(crashed.failure().describe(), HasSubstr("  stack of rank 0:\n    #0 prog+0x1"));
}

TEST_F(GroupRecordTest, CardFoldsOthers) {
    exit(2, {false, 3}, 0ms);
    for (const int rank : {0, 1, 3}) exit(rank, {false, 3}, 1ms);
    exit(4, {true, SIGABRT}, 20ms);
    exit(5, {true, SIGTERM}, 30ms, true);
    EXPECT_THAT(record.failure().describe(), HasSubstr("  ranks 0,1,3: the same; rank 4: signal 6 (SIGABRT)"));
    EXPECT_THAT(record.failure().describe(), Not(HasSubstr("rank 5")));
}

TEST_F(GroupRecordTest, CardIsAtMostOneScreen) {
    std::vector<std::string> tail;
    for (int line = 0; line < 500; ++line) tail.push_back("line " + std::to_string(line) + std::string(5000, 'x'));
    exit(2, {false, 3}, 0ms, false, tail);
    for (const int rank : {0, 1, 3, 4, 5}) exit(rank, {false, 10 + rank}, 1ms);
    const auto card = record.failure().describe();
    EXPECT_LT(std::count(card.begin(), card.end(), '\n'), 24);
    EXPECT_THAT(card, HasSubstr("line 499"));
    EXPECT_THAT(card, HasSubstr("line 480"));
    EXPECT_THAT(card, Not(HasSubstr("line 479")));
    EXPECT_LT(card.size(), 8000U);
}

TEST(GroupRecord, CardOfAProgramThatCouldNotBeStarted) {
    GroupRecord record(1);
    record.add_exited({0, {false, 127}, false, {"no-such-program: No such file or directory"}, false, {}}, {});
    EXPECT_EQ(record.failure().describe(),
              "rank 0 could not be started: exit code 127\n  why:\n    no-such-program: No such file or directory");
}

}  // namespace
}  // namespace rankexec
