// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <unistd.h>

#include "rankexec/core/model/event_type.hpp"
#include "rankexec/tests/unit/multi_process/engine_group.hpp"

namespace rankexec {
namespace {

class M2_Run : public EngineGroup {};
INSTANTIATE_TEST_SUITE_P(, M2_Run, kTransports, name_of);

TEST_P(M2_Run, StartRunInitialisesAndReachesEachRankOnceAndEndRunReachesRanksBeforeTheyClose) {
    const std::string file = ::testing::TempDir() + "end_run_" + std::to_string(::getpid());
    auto options = options_for(2);
    options.group.environment.push_back("TEST_END_RUN_FILE=" + file);
    start(options);
    EXPECT_EQ(executor->execute("echo", {}, context, abort).header("start_runs")->integer_or(-1), 1);
    engine.fire_event(std::string(event::kEndRun), context);
    EXPECT_EQ(executor->report().state, GroupState::idle);
    for (const auto* rank : {".0", ".1"}) EXPECT_EQ(::unlink((file + rank).c_str()), 0) << rank;
}

}  // namespace
}  // namespace rankexec
