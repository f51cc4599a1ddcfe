// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "rankexec/core/model/event_type.hpp"
#include "rankexec/tests/unit/multi_process/engine_group.hpp"

namespace rankexec {
namespace {

class M8_EndInEngine : public EngineGroup {};
INSTANTIATE_TEST_SUITE_P(, M8_EndInEngine, kTransports, name_of);

TEST_P(M8_EndInEngine, FinaliseFromAHandlerStartsTheEndAndReturns) {
    start(options_for(2));
    auto future = executor->request_execute("fire_finalise", {}, context, abort);
    EXPECT_EQ(future.get().reply.code, ReturnCode::task_aborted);
    executor->finalise();
    EXPECT_EQ(executor->report().state, GroupState::idle);
}

TEST_P(M8_EndInEngine, AFloodOfOneWayEventsEndsWithItsGroup) {
    start(options_for(2));
    auto future = executor->request_execute("fire", with_headers({{"count", 100'000'000}, {"one_way", 1}}), context);
    while (true) {
        const std::lock_guard lock(handler->mutex);
        if (handler->events.size() > 1000) break;
    }
    executor->finalise();
    EXPECT_EQ(future.get().reply.code, ReturnCode::task_aborted);
}

TEST_P(M8_EndInEngine, EventsThatAreFiredLastAreNotLost) {
    start(options_for(2));
    context.set("last_words", 100);
    engine.fire_event(std::string(event::kEndRun), context);
    expect_in_order(handler->events, 2, 100);
}

TEST(M8_Engine, AnEngineMayBeDestroyedWhileRanksFireEvents) {
    auto engine = std::make_unique<Engine>();
    auto& executor = static_cast<MultiProcessExecutor&>(
        engine->add("group", std::make_unique<MultiProcessExecutor>(options_for(2))));
    engine->add("handler", std::make_unique<ParentHandler>());
    Context context = engine->new_context();
    engine->fire_event(std::string(event::kStartRun), context);
    auto future = executor.request_execute("fire", with_headers({{"count", 100'000}}), context);
    engine.reset();
    EXPECT_EQ(future.get().reply.code, ReturnCode::task_aborted);
}

}  // namespace
}  // namespace rankexec
