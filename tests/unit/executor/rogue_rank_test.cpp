// SPDX-License-Identifier: Apache-2.0
// Ranks that hold the right credentials and do not keep to the protocol.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rankexec/core/executor/multi_process_executor.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

Failure failure_of(const std::string& mode) {
    MultiProcessOptions options;
    options.group.world_size = 2;
    options.group.program = {RANKEXEC_ROGUE_WORKER, mode};
    options.group.grace = milliseconds(500);
    options.abort_grace = milliseconds(50);
    options.ready_timeout = milliseconds(mode == "silent" || mode == "foreign_run" ? 700 : 30'000);
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    EXPECT_FALSE(ready) << mode;
    EXPECT_EQ(executor.report().state, GroupState::idle);
    return ready ? Failure{} : ready.error();
}

TEST(RogueRank, OneThatNeverSaysHelloIsListed) {
    const auto failure = failure_of("silent");
    EXPECT_EQ(failure.ranks, (std::vector<int>{0, 1}));
    EXPECT_THAT(failure.message, HasSubstr("have not said hello"));
}

TEST(RogueRank, OneThatSaysHelloTwiceIsNamed) {
    const auto failure = failure_of("hello_twice");
    ASSERT_TRUE(failure.rank);
    EXPECT_THAT(failure.message, HasSubstr("hello twice"));
}

TEST(RogueRank, AMessageOnTheWrongChannelEndsTheSession) {
    EXPECT_THAT(failure_of("wrong_channel").message, HasSubstr("Attach is no message for the execution channel"));
}

TEST(RogueRank, BytesThatAreNoMessageEndTheSession) {
    EXPECT_THAT(failure_of("garbage").message, HasSubstr("does not follow the protocol"));
}

TEST(RogueRank, AnotherWorldSizeIsRefused) {
    EXPECT_THAT(failure_of("wrong_world").message, HasSubstr("believes that there are 3 ranks"));
}

TEST(RogueRank, MessagesOfAnotherRunAreDropped) {
    EXPECT_THAT(failure_of("foreign_run").message, HasSubstr("have not said hello"));
}

}  // namespace
}  // namespace rankexec
