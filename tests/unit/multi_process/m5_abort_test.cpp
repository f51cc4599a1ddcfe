// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <thread>

#include "rankexec/tests/unit/multi_process/test_group.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

/// Rank 0's result fits into no ring of shared memory, those of others do.
Shareable input_of_large_result() {
    Shareable input;
    input.body["bytes"] = Bytes(std::size_t{1} << 17U, std::byte{7});
    return input;
}

class M5_Abort : public Group {};
INSTANTIATE_TEST_SUITE_P(, M5_Abort, kTransports, name_of);

TEST_P(M5_Abort, AnAbortThatWasThereFirstKeepsTheTaskFromTheRanks) {
    start(1);
    abort.trigger("not today");
    const auto reply = executor->execute("die", with_headers({{"rank", 0}, {"code", 3}}), context, abort, {});
    EXPECT_EQ(reply.reply.code, ReturnCode::task_aborted);
    EXPECT_EQ(reply.reply.failure->message, "not today");
    EXPECT_TRUE(executor->execute("echo", {}, context, {}).ok());
}

TEST_P(M5_Abort, AbortReachesEveryRankAndTheReplySaysSo) {
    start(2);
    auto future = executor->request_execute("wait_for_abort", {}, context, abort);
    abort.trigger("user pressed stop");
    const auto reply = future.get();
    EXPECT_EQ(reply.reply.code, ReturnCode::task_aborted);
    EXPECT_THAT(reply.reply.failure->message, HasSubstr("user pressed stop"));
    const Signal fresh;
    EXPECT_TRUE(executor->execute("echo", {}, context, fresh).ok());
}

TEST_P(M5_Abort, AnAbortBeforeTheTaskEndsItAsWell) {
    start(2);
    abort.trigger("too late");
    EXPECT_EQ(execute("echo").code, ReturnCode::task_aborted);
}

TEST_P(M5_Abort, ATaskWhoseCallerWaitsForTheRanksIsAbortedToo) {
    start(3);
    auto task = start_task("wait_for_abort");
    abort.trigger("enough");
    EXPECT_EQ(task.get().code, ReturnCode::task_aborted);
    abort = Signal();
    EXPECT_TRUE(execute("echo").ok());
}

TEST_P(M5_Abort, AnAbortThatComesTooLateIsNotThatOfALaterTask) {
    start(2);
    const auto large = input_of_large_result();
    for (int round = 0; round < 200; ++round) {
        Signal late;
        std::thread other([&] {
            for (int turn = 0; turn < round; ++turn) std::this_thread::yield();
            late.trigger("too late, or not");
        });
        (void)executor->execute("echo", {}, context, late);
        other.join();
        const auto reply = executor->execute("echo", large, context, abort);
        ASSERT_TRUE(reply.ok()) << round << ": " << reply.failure->describe();
    }
}

TEST_P(M5_Abort, RanksThatDoNotReturnFromAnAbortedTaskCostTheGroup) {
    auto options = options_for(2);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(500);
    HangWatch watch(2);
    watch.install(options);
    start(options);
    auto future = executor->request_execute("hang", {}, context, abort);
    watch.wait();
    abort.trigger("stop");
    const auto reply = future.get();
    EXPECT_EQ(reply.reply.code, ReturnCode::task_aborted);
    EXPECT_THAT(reply.reply.failure->message, HasSubstr("did not return"));
    EXPECT_NE(executor->report().state, GroupState::ready);
    executor.reset();
}

}  // namespace
}  // namespace rankexec
