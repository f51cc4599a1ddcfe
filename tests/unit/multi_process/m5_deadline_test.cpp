// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <csignal>
#include <vector>

#include "rankexec/tests/unit/multi_process/test_group.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class M5_Deadline : public Group {};
INSTANTIATE_TEST_SUITE_P(, M5_Deadline, kTransports, name_of);

TEST_P(M5_Deadline, ADeadlineForEverIsNone) {
    start(1);
    ExecuteOptions for_ever;
    for_ever.deadline = milliseconds::max();
    EXPECT_TRUE(executor->execute("echo", {}, context, {}, for_ever).reply.ok());
}

TEST_P(M5_Deadline, ADeadlineNamesTheRanksThatHaveNotAnswered) {
    auto options = options_for(3);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(500);
    start(options);
    ExecuteOptions with_deadline;
    with_deadline.deadline = milliseconds(50);
    const auto reply = executor->execute("hang", {}, context, abort, with_deadline);
    EXPECT_EQ(reply.reply.code, ReturnCode::task_timeout);
    EXPECT_EQ(reply.reply.failure->ranks, (std::vector<int>{0, 1, 2}));
}

TEST_P(M5_Deadline, ADeadlineCarriesTheStacksOfTheRanksThatHang) {
    auto options = options_for(3);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(500);
    HangWatch watch(2);
    watch.install(options);
    start(options);
    ExecuteOptions with_deadline;
    with_deadline.deadline = milliseconds(1000);
    auto future = executor->request_execute("hang", with_headers({{"not_on", 1}}), context, abort, with_deadline);
    watch.wait();
    const auto failure = *future.get().reply.failure;
    EXPECT_EQ(failure.ranks, (std::vector<int>{0, 2}));
    EXPECT_EQ(failure.task, "hang");
    ASSERT_EQ(failure.stacks.size(), 2U);
    for (const auto& stack : failure.stacks) {
        EXPECT_NE(stack.rank, 1);
        EXPECT_THAT(joined(stack), HasSubstr("hang_on_purpose"));
        EXPECT_THAT(joined(stack), HasSubstr("rankexec::worker::run"));
    }
}

TEST_P(M5_Deadline, ARankThatIsStoppedIsNamedWithoutAStack) {
    auto options = options_for(2);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(500);
    HangWatch watch(2);
    watch.install(options);
    start(options);
    ExecuteOptions with_deadline;
    with_deadline.deadline = milliseconds(1000);
    auto future = executor->request_execute("hang", {}, context, abort, with_deadline);
    watch.wait();
    const auto pid = static_cast<pid_t>(executor->report().ranks.at(1).pid);
    ASSERT_GT(pid, 0);
    ::kill(pid, SIGSTOP);
    const auto failure = *future.get().reply.failure;
    ASSERT_EQ(failure.stacks.size(), 2U);
    EXPECT_THAT(joined(failure.stacks[0]), HasSubstr("hang_on_purpose"));
    EXPECT_THAT(failure.stacks[1].missing, HasSubstr("no answer"));
}

TEST_P(M5_Deadline, StacksAreOffOnRequest) {
    auto options = options_for(1);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(500);
    options.group.environment = {"RANKEXEC_NO_STACKS=1"};
    start(options);
    ExecuteOptions with_deadline;
    with_deadline.deadline = milliseconds(50);
    const auto hung = executor->execute("hang", {}, context, abort, with_deadline);
    ASSERT_EQ(hung.reply.failure->stacks.size(), 1U);
    EXPECT_THAT(hung.reply.failure->stacks[0].missing, HasSubstr("reports none"));
    start(options);
    const auto crashed = execute("crash", with_headers({{"how", "segv"}}));
    EXPECT_EQ(crashed.failure->exit, (ExitStatus{true, SIGSEGV}));
    EXPECT_TRUE(crashed.failure->stacks.empty());
}

TEST_P(M5_Deadline, ADeadlineCountsWhileTheTaskWaitsInTheQueue) {
    start(1);
    auto running = executor->request_execute("wait_for_abort", {}, context, abort);
    ExecuteOptions with_deadline;
    with_deadline.deadline = milliseconds(50);
    const auto reply = executor->execute("echo", {}, context, {}, with_deadline);
    EXPECT_EQ(reply.reply.code, ReturnCode::task_timeout);
    EXPECT_THAT(reply.reply.failure->message, HasSubstr("waited"));
    abort.trigger("go on");
    EXPECT_EQ(running.get().reply.code, ReturnCode::task_aborted);
}

}  // namespace
}  // namespace rankexec
