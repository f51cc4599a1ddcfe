// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <future>

#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/tests/unit/multi_process/test_group.hpp"

namespace rankexec {
namespace {

using ::testing::HasSubstr;

class M5_Failure : public Group {};
INSTANTIATE_TEST_SUITE_P(, M5_Failure, kTransports, name_of);

TEST_P(M5_Failure, AnExceptionOnAnyRankIsAFailureWithItsRankAndTheGroupLivesOn) {
    start(3);
    const auto reply = execute("throw", with_headers({{"rank", 2}}));
    EXPECT_EQ(reply.code, ReturnCode::execution_exception);
    ASSERT_TRUE(reply.failure);
    EXPECT_EQ(reply.failure->rank, 2);
    EXPECT_EQ(reply.failure->message, "user code failed on purpose");
    EXPECT_EQ(reply.failure->exception, "std::runtime_error");
    EXPECT_EQ(reply.failure->task, "throw");
    EXPECT_THAT(reply.failure->stderr_tail, testing::ElementsAre("about to throw"));
    EXPECT_TRUE(execute("echo").ok());
}

TEST_P(M5_Failure, WhateverIsThrownIsTold) {
    start(1);
    EXPECT_EQ(execute("throw_text").failure->message, "just a text");
    EXPECT_EQ(execute("throw_nested").failure->message, "the outer one; because of: the inner one");
}

TEST_P(M5_Failure, AReplyThatIsNotOkNamesItsRank) {
    start(2);
    const auto reply = execute("bad_reply", with_headers({{"rank", 1}}));
    EXPECT_EQ(reply.code, ReturnCode::bad_task_data);
    EXPECT_EQ(reply.failure->rank, 1);
    EXPECT_EQ(execute("no such task").code, ReturnCode::task_unknown);
}

TEST_P(M5_Failure, ARankThatDiesDuringATaskIsNamedWithItsExit) {
    for (const auto& [signal, code] : {std::pair{SIGKILL, 0}, {SIGSEGV, 0}, {0, 3}, {0, 0}}) {
        start(3);
        const auto reply = execute("die", with_headers({{"rank", 1}, {"signal", signal}, {"code", code}}));
        EXPECT_EQ(reply.code, ReturnCode::execution_exception);
        ASSERT_TRUE(reply.failure);
        EXPECT_EQ(reply.failure->rank, 1) << reply.failure->describe();
        ASSERT_TRUE(reply.failure->exit) << reply.failure->describe();
        EXPECT_EQ(reply.failure->exit->signalled, signal != 0);
        EXPECT_EQ(reply.failure->exit->number, signal != 0 ? signal : code);
        EXPECT_THAT(reply.failure->stderr_tail, ::testing::Contains("about to die"));
        // What was submitted to a lost group fails for the same reason.
        EXPECT_EQ(execute("echo").failure->rank, 1);
    }
}

// The first one's exception takes its time to be caught; meanwhile the others fail because of it.
TEST_P(M5_Failure, TheFirstExceptionIsTheOneThatWasThrownFirst) {
    start(2);
    const auto fifo = ::testing::TempDir() + "/rankexec-throw-" + std::to_string(::getpid());
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    const auto reply = execute("throw_slowly", with_headers({{"first", 1}, {"fifo", fifo}}));
    ::unlink(fifo.c_str());
    ASSERT_TRUE(reply.failure);
    EXPECT_EQ(reply.failure->rank, 1) << reply.failure->describe();
    EXPECT_EQ(reply.failure->message, "the first");
}

TEST_P(M5_Failure, TheFailureOfOneTellsWhatBecameOfTheOthers) {
    start(3);
    const auto fifos = ::testing::TempDir() + "/rankexec-throw-" + std::to_string(::getpid()) + "-";
    std::vector<std::string> paths;
    for (int rank = 0; rank < 3; ++rank) paths.push_back(fifos + std::to_string(rank));
    for (const auto& path : paths) ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    auto executed = std::async(std::launch::async, [&] {
        return execute("throw_all", with_headers({{"fifos", fifos}}));
    });
    {
        // A rank that had not begun when another one failed would not throw at all.
        std::vector<UniqueFd> begun;
        for (const auto& path : paths) begun.emplace_back(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    }
    const auto reply = executed.get();
    for (const auto& path : paths) ::unlink(path.c_str());
    ASSERT_TRUE(reply.failure);
    EXPECT_EQ(reply.failure->others.size(), 2U) << reply.failure->describe();
    for (const auto& other : reply.failure->others) EXPECT_THAT(other.what, HasSubstr("everyone fails"));
}

#if !defined(__SANITIZE_THREAD__)  // which runs handlers elsewhere than where the signal struck
TEST_P(M5_Failure, ACrashCarriesItsStackAndStaysTheSignalItWas) {
    for (const auto& [how, signal] : {std::pair{"segv", SIGSEGV},
                                      {"abort", SIGABRT},
                                      {"overflow", SIGSEGV},
                                      {"thread", SIGSEGV},
                                      {"terminate", SIGABRT}}) {
        SCOPED_TRACE(how);
        auto options = options_for(2);
        options.group.environment = {"ASAN_OPTIONS=handle_segv=0:handle_abort=0:use_sigaltstack=0"};
        start(options);
        const auto reply = execute("crash", with_headers({{"rank", 1}, {"how", how}}));
        ASSERT_TRUE(reply.failure);
        EXPECT_EQ(reply.failure->rank, 1);
        EXPECT_EQ(reply.failure->exit, (ExitStatus{true, signal})) << reply.failure->describe();
        ASSERT_EQ(reply.failure->stacks.size(), 1U) << reply.failure->describe();
        EXPECT_EQ(reply.failure->stacks[0].rank, 1);
        EXPECT_THAT(joined(reply.failure->stacks[0]), HasSubstr("test_worker+0x"));
        EXPECT_THAT(reply.failure->stderr_tail, ::testing::Contains("about to crash"));
        EXPECT_THAT(reply.failure->stderr_tail, ::testing::Not(::testing::Contains(HasSubstr("native stack"))));
    }
}
#endif

TEST_P(M5_Failure, ASignalThatTheProgramHandlesIsLeftToIt) {
    start(1);
    const auto reply = execute("crash", with_headers({{"how", "own_handler"}}));
    EXPECT_EQ(reply.failure->exit, (ExitStatus{false, 42}));
    EXPECT_TRUE(reply.failure->stacks.empty());
}

TEST_P(M5_Failure, APayloadOverTheLimitIsRefusedAndTheGroupWorksOn) {
    start(2);
    Shareable input;
    input.body = std::string(std::size_t{17} << 20U, 'x');
    const auto reply = execute("echo", input);
    EXPECT_EQ(reply.code, ReturnCode::bad_request_data);
    EXPECT_THAT(reply.failure->message, HasSubstr("echo"));
    EXPECT_TRUE(execute("echo").ok());
}

TEST_P(M5_Failure, AResultOverTheLimitIsAnErrorOfItsRankAndTheGroupWorksOn) {
    start(2);
    const auto reply = execute("large_result", with_headers({{"rank", 0}}));
    EXPECT_EQ(reply.code, ReturnCode::execution_result_error);
    EXPECT_EQ(reply.failure->rank, 0);
    EXPECT_TRUE(execute("echo").ok());
}

TEST_P(M5_Failure, WhatIsNestedTooDeepIsAnErrorAndTheGroupWorksOn) {
    start(2);
    const auto reply = execute("deep_result");
    EXPECT_EQ(reply.code, ReturnCode::execution_result_error);
    EXPECT_THAT(reply.failure->message, HasSubstr("more than 64 deep"));
    Shareable input;
    for (int level = 0; level < 100'000; ++level) {
        Value::Array outer;
        outer.push_back(std::move(input.body));
        input.body = std::move(outer);
    }
    EXPECT_EQ(execute("echo", input).code, ReturnCode::bad_request_data);
    EXPECT_TRUE(execute("echo").ok());
}

}  // namespace
}  // namespace rankexec
