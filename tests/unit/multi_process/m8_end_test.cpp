// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <sstream>
#include <vector>

#include "rankexec/tests/unit/multi_process/test_group.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class M8_End : public Group {};
INSTANTIATE_TEST_SUITE_P(, M8_End, kTransports, name_of);

TEST_P(M8_End, ARankThatCrashesWhenItClosesIsReported) {
    start(2);
    EXPECT_TRUE(execute("crash_at_end").ok());
    executor->finalise();
    const auto report = executor->report();
    ASSERT_TRUE(report.end_failure);
    EXPECT_TRUE(report.end_failure->exit->signalled);
    EXPECT_EQ(report.end_failure->exit->number, SIGSEGV);
}

TEST_P(M8_End, ATaskWhoseCallerWaitsForTheRanksEndsWithTheGroup) {
    auto options = options_for(2);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(200);
    HangWatch watch(2);
    watch.install(options);
    start(options);
    auto task = start_task("hang");
    watch.wait();
    executor->finalise();
    const auto reply = task.get();
    EXPECT_EQ(reply.code, ReturnCode::task_aborted);
    EXPECT_THAT(reply.failure->message, HasSubstr("finalised"));
    EXPECT_EQ(reply.failure->task, "hang");
}

TEST_P(M8_End, AfterFinaliseTheNextGroupIsANewIncarnation) {
    start(2);
    const auto first = executor->report();
    EXPECT_EQ(first.state, GroupState::ready);
    EXPECT_EQ(first.ranks.size(), 2U);
    EXPECT_EQ(first.ranks[0].transport, GetParam() == Transport::zeromq ? "ipc" : "memory");
    EXPECT_EQ(first.ranks[0].security, "plain");
    executor->finalise();
    executor->finalise();
    EXPECT_EQ(executor->report().state, GroupState::idle);
    EXPECT_EQ(execute("echo").code, ReturnCode::not_ready);
    ASSERT_TRUE(executor->initialise(context));
    const auto second = executor->report();
    EXPECT_EQ(second.incarnation, first.incarnation + 1);
    EXPECT_NE(second.run_id, first.run_id);
    EXPECT_TRUE(execute("echo").ok());
}

TEST_P(M8_End, FinaliseEndsRanksThatDoNotObey) {
    auto options = options_for(2);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(200);
    HangWatch watch(2);
    watch.install(options);
    start(options);
    auto future = executor->request_execute("hang", {}, context, abort);
    watch.wait();
    executor->finalise();
    EXPECT_EQ(future.get().reply.code, ReturnCode::task_aborted);
    EXPECT_EQ(executor->report().state, GroupState::idle);
    executor.reset();
}

TEST(M8_ParentGone, RanksThatFindTheirParentGoneEndThemselves) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    // A host of its own, because it is to be killed.
    const auto host = ::fork();
    if (host == 0) {
        ::dup2(ends[1], STDOUT_FILENO);
        ::execl(RANKEXEC_DOOMED_HOST, RANKEXEC_DOOMED_HOST, RANKEXEC_TEST_WORKER, nullptr);
        ::_exit(127);
    }
    ASSERT_GT(host, 0);
    ::close(ends[1]);
    std::string line;
    for (char character = 0; ::read(ends[0], &character, 1) == 1 && character != '\n';) line += character;
    ::close(ends[0]);
    std::istringstream pids(line);
    std::vector<pollfd> ranks;
    for (pid_t pid = 0; pids >> pid;) {
        ranks.push_back({static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)), POLLIN, 0});
        EXPECT_GE(ranks.back().fd, 0);
    }
    EXPECT_EQ(ranks.size(), 2U);
    ::kill(host, SIGKILL);
    EXPECT_EQ(::waitpid(host, nullptr, 0), host);
    for (auto& rank : ranks) {
        EXPECT_EQ(::poll(&rank, 1, 60'000), 1);
        ::close(rank.fd);
    }
}

}  // namespace
}  // namespace rankexec
