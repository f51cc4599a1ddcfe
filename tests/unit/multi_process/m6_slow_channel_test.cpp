// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <unistd.h>

#include "rankexec/core/model/event_type.hpp"
#include "rankexec/tests/unit/multi_process/engine_group.hpp"

namespace rankexec {
namespace {

/// Each of the three sockets in turn is the slow one.
class M6_SlowChannel : public WithEngine, public ::testing::WithParamInterface<std::tuple<Transport, std::string>> {
protected:
    void start_slow(MultiProcessOptions options) {
        options.transport = std::get<0>(GetParam());
        options.group.environment.push_back("RANKEXEC_TEST_DELAY=" + std::get<1>(GetParam()) + ":40");
        start(options);
    }
};
INSTANTIATE_TEST_SUITE_P(, M6_SlowChannel,
                         ::testing::Combine(kTransports, ::testing::Values("execution", "handler", "relay")),
                         [](const auto& info) {
                             return ::testing::PrintToString(std::get<0>(info.param)) + "_" + std::get<1>(info.param);
                         });

TEST_P(M6_SlowChannel, ExecuteReturnsAfterAllItsEvents) {
    start_slow(options_for(2));
    ASSERT_TRUE(executor->execute("fire", with_headers({{"count", 3}}), context, abort).ok());
    EXPECT_EQ(handler->events.size(), 6U);
}

TEST_P(M6_SlowChannel, ExecuteReturnsAfterAllItsOneWayEvents) {
    start_slow(options_for(2));
    const auto input = with_headers({{"count", 150}, {"one_way", 1}, {"large_every", 70}, {"bytes", 100'000}});
    ASSERT_TRUE(executor->execute("fire", input, context, abort).ok());
    EXPECT_EQ(handler->events.size(), 300U);
}

TEST_P(M6_SlowChannel, AnAbortThatComesBeforeItsTaskIsRemembered) {
    start_slow(options_for(2));
    auto future = executor->request_execute("wait_for_abort", {}, context, abort);
    abort.trigger("early");
    EXPECT_EQ(future.get().reply.code, ReturnCode::task_aborted);
    EXPECT_TRUE(executor->execute("echo", {}, context, Signal()).ok());
}

TEST_P(M6_SlowChannel, CloseIsObeyedAfterTheEventsBeforeIt) {
    const std::string file = ::testing::TempDir() + "end_run_" + std::to_string(::getpid());
    auto options = options_for(2);
    options.group.environment = {"TEST_END_RUN_FILE=" + file};
    start_slow(options);
    engine.fire_event(std::string(event::kEndRun), context);
    for (const auto* rank : {".0", ".1"}) EXPECT_EQ(::unlink((file + rank).c_str()), 0) << rank;
}

}  // namespace
}  // namespace rankexec
