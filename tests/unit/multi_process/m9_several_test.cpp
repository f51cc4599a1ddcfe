// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "rankexec/tests/unit/multi_process/test_group.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;

/// Rank 0's result fits into no ring of shared memory, those of others do.
Shareable input_of_large_result() {
    Shareable input;
    input.body["bytes"] = Bytes(std::size_t{1} << 17U, std::byte{7});
    return input;
}

class M9_Several : public Group {};
INSTANTIATE_TEST_SUITE_P(, M9_Several, kTransports, name_of);

TEST_P(M9_Several, AllResultsAreMergedSoThatRankZeroWins) {
    start(3);
    ExecuteOptions options;
    options.all_results = true;
    const auto reply = executor->execute("echo", {}, context, abort, options);
    ASSERT_TRUE(reply.reply.ok());
    ASSERT_EQ(reply.results.size(), 3U);
    for (int rank = 0; rank < 3; ++rank) {
        EXPECT_EQ(reply.results[static_cast<std::size_t>(rank)].header("rank")->integer_or(-1), rank);
        EXPECT_EQ(context.integer_or("by_rank_" + std::to_string(rank), -1), rank);
    }
    EXPECT_EQ(context.integer_or("last_rank", -1), 0);
}

TEST_P(M9_Several, TwoExecutorsInOneProcessWorkIndependently) {
    start(2);
    MultiProcessExecutor other(options_for(3));
    Context other_context;
    ASSERT_TRUE(other.initialise(other_context));
    EXPECT_EQ(execute("echo").header("world_size")->integer_or(-1), 2);
    EXPECT_EQ(other.execute("echo", {}, other_context, abort).header("world_size")->integer_or(-1), 3);
    executor->finalise();
    EXPECT_TRUE(other.execute("echo", {}, other_context, abort).ok());
}

TEST_P(M9_Several, TasksRunInOrderOfSubmissionAndTheQueueIsBounded) {
    auto options = options_for(1);
    options.queue_limit = 2;
    start(options);
    auto running = executor->request_execute("wait_for_abort", {}, context, abort);
    auto first = executor->request_execute("echo", with_headers({{"n", 1}}), context);
    auto second = executor->request_execute("echo", with_headers({{"n", 2}}), context);
    auto refused = executor->request_execute("echo", {}, context);
    EXPECT_EQ(refused.get().reply.code, ReturnCode::bad_request_data);
    abort.trigger("go on");
    EXPECT_EQ(running.get().reply.code, ReturnCode::task_aborted);
    EXPECT_EQ(first.get().reply.header("n")->integer_or(0), 1);
    EXPECT_EQ(second.get().reply.header("n")->integer_or(0), 2);
}

TEST_P(M9_Several, TasksOfSeveralThreadsTakeTurns) {
    start(2);
    constexpr int kThreads = 4;
    constexpr int kTasks = 50;
    std::atomic<int> well{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
            Context own = context.clone();
            for (int number = 0; number < kTasks; ++number) {
                const auto input = with_headers({{"number", thread * kTasks + number}});
                const bool queued = number % 3 == 0;
                const auto reply = queued ? executor->request_execute("echo", input, own).get().reply
                                          : executor->execute("echo", input, own, Signal());
                if (reply.ok() && *reply.header("number") == *input.header("number")) ++well;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(well, kThreads * kTasks);
}

TEST_P(M9_Several, TasksOfSeveralThreadsTakeTurnsAlsoWhenTheyChangeTheirWay) {
    start(3);
    constexpr int kThreads = 4;
    constexpr int kTasks = 100;
    const auto large = input_of_large_result();
    std::atomic<int> well{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
            Context own = context.clone();
            for (int number = 0; number < kTasks; ++number) {
                const auto input = (number + thread) % 3 == 0 ? large : with_headers({{"number", number}});
                if (executor->execute("echo", input, own, Signal()).body == input.body) ++well;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(well, kThreads * kTasks);
}

TEST_P(M9_Several, ATaskMayTakeTheLaneAsSoonAsTheOneBeforeItHasItsReply) {
    start(3);
    const auto large = input_of_large_result();
    for (int round = 0; round < 50; ++round) {
        ASSERT_TRUE(execute("echo", large).ok());
        for (int task = 0; task < 5; ++task) ASSERT_TRUE(execute("echo").ok()) << round;
    }
}

TEST_P(M9_Several, WhatWasSubmittedFirstRunsFirstWhicheverWayItGoes) {
    start(1);
    auto first = executor->request_execute("wait_for_abort", {}, context, abort);
    auto second = std::async(std::launch::async, [this] { return executor->execute("echo", {}, context, Signal()); });
    EXPECT_EQ(second.wait_for(milliseconds(50)), std::future_status::timeout);
    abort.trigger("go on");
    EXPECT_EQ(first.get().reply.code, ReturnCode::task_aborted);
    EXPECT_TRUE(second.get().ok());
}

}  // namespace
}  // namespace rankexec
