// SPDX-License-Identifier: Apache-2.0
// Ranks that hold the right credentials and do not keep to the protocol, whichever way they come.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "rankexec/core/executor/multi_process_executor.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class RogueRank : public ::testing::TestWithParam<std::string> {
protected:
    static Failure failure_of(const std::string& mode) {
        static const std::set<std::string> kMissing{"silent", "foreign_run", "half_a_hello", "hello_elsewhere"};
        MultiProcessOptions options;
        options.group.world_size = 2;
        options.group.program = {RANKEXEC_ROGUE_WORKER, mode, GetParam()};
        options.group.grace = milliseconds(500);
        options.abort_grace = milliseconds(50);
        options.ready_timeout = milliseconds(kMissing.contains(mode) ? 700 : 30'000);
        MultiProcessExecutor executor(options);
        Context context;
        const auto ready = executor.initialise(context);
        EXPECT_FALSE(ready) << mode;
        EXPECT_EQ(executor.report().state, GroupState::idle);
        return ready ? Failure{} : ready.error();
    }
};

TEST_P(RogueRank, OneThatNeverSaysHelloIsListed) {
    const auto failure = failure_of("silent");
    EXPECT_EQ(failure.ranks, (std::vector<int>{0, 1}));
    EXPECT_THAT(failure.message, HasSubstr("have not said hello"));
}

TEST_P(RogueRank, OneThatSaysHelloTwiceIsNamed) {
    const auto failure = failure_of("hello_twice");
    ASSERT_TRUE(failure.rank);
    EXPECT_THAT(failure.message, HasSubstr("hello twice"));
}

TEST_P(RogueRank, AMessageOnTheWrongChannelEndsTheSession) {
    EXPECT_THAT(failure_of("wrong_channel").message, HasSubstr("Attach is no message for the execution channel"));
}

TEST_P(RogueRank, BytesThatAreNoMessageEndTheSession) {
    EXPECT_THAT(failure_of("garbage").message, HasSubstr("does not follow the protocol"));
}

TEST_P(RogueRank, AnotherWorldSizeIsRefused) {
    EXPECT_THAT(failure_of("wrong_world").message, HasSubstr("believes that there are 3 ranks"));
}

TEST_P(RogueRank, MessagesOfAnotherRunAreDropped) {
    EXPECT_THAT(failure_of("foreign_run").message, HasSubstr("have not said hello"));
}

TEST_P(RogueRank, OneThatHangsUpAfterItsHelloIsListed) {
    EXPECT_THAT(failure_of("half_a_hello").message, HasSubstr("have not said hello"));
}

TEST_P(RogueRank, OneThatDiesBeforeItsHelloIsNamed) {
    EXPECT_THAT(failure_of("dies_unheard").message, HasSubstr("ended (exit code 3) before it said hello"));
}

TEST_P(RogueRank, OneThatDiesAfterItsHelloIsNamed) {
    EXPECT_THAT(failure_of("dies_after_hello").message, HasSubstr("ended (exit code 3)"));
}

TEST_P(RogueRank, ASecondHelloOnOtherConnectionsHasNoEffect) {
    EXPECT_THAT(failure_of("hello_elsewhere").message, HasSubstr("have not said hello"));
}

INSTANTIATE_TEST_SUITE_P(Ways, RogueRank, ::testing::Values("zeromq", "memory"),
                         [](const auto& way) { return way.param; });

class RogueRankOnAStream : public RogueRank {};

TEST_P(RogueRankOnAStream, BytesOutOfStepEndTheSession) {
    EXPECT_THAT(failure_of("no_stream").message, HasSubstr("does not follow the protocol"));
}

TEST_P(RogueRankOnAStream, AMessageThatIsCutEndsTheSession) {
    EXPECT_THAT(failure_of("cut").message, HasSubstr("does not follow the protocol"));
}

INSTANTIATE_TEST_SUITE_P(Ways, RogueRankOnAStream, ::testing::Values("memory"),
                         [](const auto& way) { return way.param; });

}  // namespace
}  // namespace rankexec
