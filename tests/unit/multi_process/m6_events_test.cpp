// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <future>
#include <map>

#include "rankexec/tests/unit/multi_process/engine_group.hpp"

namespace rankexec {
namespace {

class M6_Events : public EngineGroup {};
INSTANTIATE_TEST_SUITE_P(, M6_Events, kTransports, name_of);

TEST_P(M6_Events, AParentEventReachesTheRanksAndRankZerosChangesComeBack) {
    start(options_for(3));
    context.set("question", "who?");
    engine.fire_event("parent.ask", context);
    EXPECT_EQ(context.text_or("answer", ""), "from rank 0");
    EXPECT_FALSE(context.get("question"));
}

TEST_P(M6_Events, RankEventsAreHandledOneAtATimeWithTheirRankAndChangesAndAreAllSeenBeforeExecuteReturns) {
    start(options_for(4));
    const auto reply = executor->execute("fire", with_headers({{"count", 25}}), context, abort);
    ASSERT_TRUE(reply.ok()) << reply.failure->describe();
    EXPECT_EQ(handler->events.size(), 100U);
    EXPECT_EQ(handler->most_running, 1);
    std::map<std::int64_t, std::int64_t> next;
    for (const auto& seen : handler->events) {
        EXPECT_EQ(seen.from_rank, seen.sender);
        EXPECT_EQ(seen.origin, "rank");
        EXPECT_EQ(seen.number, next[seen.from_rank]++);
    }
    EXPECT_GT(reply.header("seen")->integer_or(-1), 0);
}

TEST_P(M6_Events, OneWayEventsAreAllHandledInOrderBeforeExecuteReturns) {
    start(options_for(3));
    for (const int turn : {1, 2}) {
        const auto input = with_headers({{"count", 2000}, {"one_way", 1}});
        const auto reply = executor->execute("fire", input, context, abort);
        ASSERT_TRUE(reply.ok()) << reply.failure->describe();
        // What the parent's handlers set is not seen there.
        EXPECT_EQ(reply.header("seen")->integer_or(-1), -1) << turn;
        expect_in_order(std::exchange(handler->events, {}), 3, 2000);
        context.remove("seen");
    }
}

TEST_P(M6_Events, EventsThatDoNotFitIntoMemoryKeepTheirPlace) {
    start(options_for(2));
    for (const int one_way : {0, 1}) {
        const auto input =
            with_headers({{"count", 200}, {"one_way", one_way}, {"large_every", 20}, {"bytes", 300'000}});
        ASSERT_TRUE(executor->execute("fire", input, context, abort).ok());
        expect_in_order(std::exchange(handler->events, {}), 2, 200);
    }
}

TEST_P(M6_Events, SeveralThreadsOfARankFireAtOnce) {
    start(options_for(2));
    for (const int one_way : {0, 1}) {
        const auto input =
            with_headers({{"count", 100}, {"one_way", one_way}, {"large_every", 30}, {"bytes", 100'000}});
        ASSERT_TRUE(executor->execute("fire_from_threads", input, context, abort).ok());
        expect_in_order(std::exchange(handler->events, {}), 8, 100);
    }
}

TEST_P(M6_Events, EventsOfATaskThatWasRequestedAreAllSeenBeforeItsReply) {
    start(options_for(2));
    const auto input = with_headers({{"count", 500}, {"one_way", 1}});
    ASSERT_TRUE(executor->request_execute("fire", input, context, abort).get().reply.ok());
    expect_in_order(handler->events, 2, 500);
}

TEST_P(M6_Events, OneWayEventsOfTheParentReachTheRanksInOrder) {
    start(options_for(2));
    for (int number = 1; number <= 1000; ++number) {
        if (number % 100 == 0) context.set("large", std::string(200'000, 'x'));
        engine.fire_one_way("parent.count", context);
        context.remove("large");
    }
    engine.fire_event("parent.counted", context);
    EXPECT_EQ(context.integer_or("counted", -1), 1000);
    EXPECT_FALSE(context.get(property::kOneWay));
}

TEST_P(M6_Events, AParentEventIsAnsweredWhileAHandlerOfARanksEventIsBusy) {
    start(options_for(2));
    std::promise<void> release;
    handler->hold = release.get_future().share();
    auto future = executor->request_execute("fire", with_headers({{"count", 1}}), Context(), abort);
    const auto running = [&] {
        const std::lock_guard lock(handler->mutex);
        return handler->running > 0;
    };
    while (!running()) std::this_thread::yield();
    engine.fire_event("parent.ask", context);
    EXPECT_EQ(context.text_or("answer", ""), "from rank 0");
    release.set_value();
    EXPECT_TRUE(future.get().reply.ok());
}

TEST_P(M6_Events, ARanksHandlerMayFireAnEventWhileTheParentWaitsForItsAnswer) {
    start(options_for(2));
    engine.fire_event("parent.nest", context);
    EXPECT_EQ(handler->deepest, 3);
    EXPECT_EQ(context.integer_or("level", -1), 3);
}

TEST_P(M6_Events, EventsThatNestWithoutEndAreAnErrorAndNotADeadlock) {
    start(options_for(1));
    handler->limit = 1000;
    engine.fire_event("parent.nest", context);
    EXPECT_GT(handler->deepest, 3);
    EXPECT_LT(handler->deepest, 100);
    EXPECT_TRUE(executor->execute("echo", {}, context, abort).ok());
}

TEST_P(M6_Events, ExecuteFromAHandlerOfARanksEventIsRefusedInsteadOfWaitingForItself) {
    start(options_for(1));
    handler->reenter = true;
    ASSERT_TRUE(executor->execute("fire", {with_headers({{"count", 1}})}, context, abort).ok());
    EXPECT_EQ(handler->reentered.code, ReturnCode::bad_request_data);
}

}  // namespace
}  // namespace rankexec
