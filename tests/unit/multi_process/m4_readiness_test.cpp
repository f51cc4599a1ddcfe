// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <thread>
#include <vector>

#include "rankexec/tests/unit/multi_process/test_group.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

TEST(M4_Readiness, ARankThatDiesBeforeItsHelloIsAnErrorAtOnce) {
    auto options = options_for(3);
    options.group.program = {"/bin/sh", "-c", "echo cannot load model >&2; exit 7"};
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_FALSE(ready);
    EXPECT_EQ(ready.error().code, ReturnCode::initialisation_error);
    ASSERT_TRUE(ready.error().exit);
    EXPECT_EQ(ready.error().exit->number, 7);
    EXPECT_THAT(ready.error().stderr_tail, ::testing::Contains("cannot load model"));
}

TEST(M4_Readiness, RanksThatNeverSayHelloAreListedWhenTheDeadlineHasPassed) {
    auto options = options_for(2);
    options.group.program = {"/bin/sleep", "1000"};
    options.group.grace = milliseconds(200);
    options.abort_grace = milliseconds(100);
    options.ready_timeout = milliseconds(300);
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_FALSE(ready);
    EXPECT_EQ(ready.error().ranks, (std::vector<int>{0, 1}));
    EXPECT_THAT(ready.error().message, HasSubstr("have not said hello"));
}

TEST(M4_Readiness, AMissingWorkerIsNamed) {
    auto options = options_for(2);
    options.group.program = {"/no/such/worker"};
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_FALSE(ready);
    EXPECT_THAT(ready.error().describe(), HasSubstr("/no/such/worker"));
    EXPECT_EQ(ready.error().code, ReturnCode::launch_error);
    EXPECT_EQ(ready.error().exit, (ExitStatus{false, 127}));
}

TEST(M4_Readiness, MissingFoldersAreNamedAndNotTheProgramsFault) {
    for (const bool of_logs : {true, false}) {
        auto options = options_for(2);
        (of_logs ? options.group.log_directory : options.group.directory) = "/proc/no/such/folder";
        MultiProcessExecutor executor(options);
        Context context;
        const auto ready = executor.initialise(context);
        ASSERT_FALSE(ready);
        EXPECT_EQ(ready.error().code, ReturnCode::launch_error);
        EXPECT_EQ(ready.error().exit, (ExitStatus{false, 125}));
        EXPECT_THAT(ready.error().message, HasSubstr("/proc/no/such/folder"));
    }
}

TEST(M4_Readiness, AnAbortDuringInitialiseEndsTheGroup) {
    auto options = options_for(2);
    options.group.program = {"/bin/sleep", "1000"};
    options.group.grace = milliseconds(200);
    options.abort_grace = milliseconds(100);
    MultiProcessExecutor executor(options);
    Context context;
    const Signal abort;
    std::thread trigger([&] { abort.trigger("enough"); });
    const auto ready = executor.initialise(context, abort);
    trigger.join();
    ASSERT_FALSE(ready);
    EXPECT_EQ(ready.error().code, ReturnCode::task_aborted);
    EXPECT_THAT(ready.error().message, HasSubstr("enough"));
}

}  // namespace
}  // namespace rankexec
