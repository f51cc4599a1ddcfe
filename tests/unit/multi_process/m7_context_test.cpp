// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "rankexec/tests/unit/multi_process/engine_group.hpp"

namespace rankexec {
namespace {

class M7_Context : public EngineGroup {};
INSTANTIATE_TEST_SUITE_P(, M7_Context, kTransports, name_of);

TEST_P(M7_Context, ARanksContextHoldsRankAndWorldSizeWhichNeverComeBack) {
    start(options_for(2));
    EXPECT_EQ(executor->execute("echo", {}, context, abort).header("world_size")->integer_or(-1), 2);
    EXPECT_FALSE(context.get(property::kRank));
    EXPECT_FALSE(context.get(property::kWorldSize));
}

TEST_P(M7_Context, AHandlerSeesTheValuesOfItsEventWhateverOthersSetMeanwhile) {
    start(options_for(2));
    auto future = executor->request_execute("fire", with_headers({{"count", 2000}, {"one_way", 1}}), context);
    while (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
        context.set("sender", 0);
        context.set("number", 99);
    }
    EXPECT_TRUE(future.get().reply.ok());
    expect_in_order(handler->events, 2, 2000);
}

}  // namespace
}  // namespace rankexec
