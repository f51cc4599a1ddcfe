// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/launch_session.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include "fake_rank_group.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "temporary_folder.hpp"

namespace rankexec::cli {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kOut = wire::OutputStream::standard_output;
constexpr auto kErr = wire::OutputStream::standard_error;

class LaunchSessionTest : public testing::Test {
protected:
    LaunchSessionTest() {
        output.reset(::open((folder.path() / "out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        errors.reset(::open((folder.path() / "err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        options.group.world_size = 4;
        options.group.program = {"prog"};
        options.group.grace = 5s;
        options.group.stdin_mode = wire::StdinMode::rank_zero;
        options.output_fd = output.get();
        options.error_fd = errors.get();
    }

    void start(int started = 4) {
        LaunchSession::Hooks hooks;
        hooks.start = [this](EventLoop&, const GroupOptions&, RankGroup::Callbacks callbacks) {
            group.callbacks = std::move(callbacks);
            return tl::expected<std::unique_ptr<RankGroup>, Failure>(std::make_unique<FakeRankGroup>(group));
        };
        group.on_call = [this] { loop.stop(); };
        hooks.stop_process = [this] {
            ++stops;
            loop.stop();
        };
        hooks.exit_now = [this](int code) { exits.push_back(code); };
        hooks.on_input_wanted = [this] { ++inputs_wanted; };
        hooks.on_done = [this] {
            done = true;
            loop.stop();
        };
        session = std::make_unique<LaunchSession>(loop, options, std::move(hooks));
        ASSERT_TRUE(session->start().has_value());
        group.start_all(std::min(started, options.group.world_size));
    }

    /// The group is gone; returns the exit code when everything is written.
    int finish() {
        group.end();
        run_until([this] { return done; });
        return session->result().exit_code;
    }

    /// The session's output goes into a pipe, of which this is the reader's end.
    UniqueFd output_to_pipe() {
        int ends[2] = {-1, -1};
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        output.reset(ends[1]);
        options.output_fd = output.get();
        return UniqueFd(ends[0]);
    }

    void run_until(const std::function<bool()>& condition) {
        // Whatever a condition depends on stops the loop.
        while (!condition()) loop.run();
    }

    std::string text(const char* file) const {
        std::ostringstream content;
        content << std::ifstream(folder.path() / file, std::ios::binary).rdbuf();
        return content.str();
    }

    TemporaryFolder folder;
    UniqueFd output;
    UniqueFd errors;
    LaunchSessionOptions options;
    EventLoop loop;
    FakeRankGroup::Record group;
    int stops = 0;
    int inputs_wanted = 0;
    bool done = false;
    std::vector<int> exits;
    std::unique_ptr<LaunchSession> session;
};

TEST_F(LaunchSessionTest, AllGoodIsZeroAndSilent) {
    start();
    for (int rank = 0; rank < 4; ++rank) group.exit(rank, {});
    EXPECT_EQ(finish(), 0);
    EXPECT_THAT(group.ends, IsEmpty());
    EXPECT_EQ(text("err"), "");
}

TEST_F(LaunchSessionTest, OutputIsForwardedByteByByte) {
    start();
    const std::string bytes("a\0b\xff no end", 10);
    group.output(0, kOut, bytes);
    group.output(1, kErr, "problem\n");
    run_until([&] { return group.acknowledged.size() == 2; });
    EXPECT_THAT(group.acknowledged, ElementsAre(std::pair(0, bytes.size()), std::pair(1, std::size_t{8})));
    EXPECT_EQ(text("out"), "");  // another rank could write in between
    for (int rank = 0; rank < 4; ++rank) group.exit(rank, {});
    EXPECT_EQ(finish(), 0);
    EXPECT_EQ(text("out"), bytes);
    EXPECT_EQ(text("err"), "problem\n");
}

TEST_F(LaunchSessionTest, LabelsAreKeptPerStreamAndCompletedAtTheEnd) {
    options.label = true;
    start();
    group.output(3, kOut, "hel");
    group.output(0, kOut, "zero\n");
    group.output(3, kErr, "oops");
    group.output(3, kOut, "lo");
    for (int rank = 0; rank < 4; ++rank) group.exit(rank, {});
    EXPECT_EQ(finish(), 0);
    EXPECT_EQ(text("out"), "[0] zero\n[3] hello\n");
    EXPECT_EQ(text("err"), "[3] oops\n");
}

TEST_F(LaunchSessionTest, AFailingRankEndsTheGroup) {
    start();
    group.exit(2, {false, 3});
    run_until([&] { return !group.ends.empty(); });
    EXPECT_THAT(group.ends, ElementsAre(5s));
    for (const int rank : {0, 1, 3}) group.exit(rank, {true, SIGTERM}, true);
    EXPECT_EQ(finish(), 3);
    EXPECT_THAT(text("err"), HasSubstr("rank 2 on here, pid 102 failed: exit code 3"));
    EXPECT_THAT(text("err"), HasSubstr("last words"));
}

TEST_F(LaunchSessionTest, ASignalIs128AndMore) {
    start();
    group.exit(2, {true, SIGKILL});
    EXPECT_EQ(finish(), 137);
}

TEST_F(LaunchSessionTest, TheOnlyRanksErrorsAreNotRepeated) {
    options.group.world_size = 1;
    start();
    group.exit(0, {false, 3});
    EXPECT_EQ(finish(), 3);
    EXPECT_THAT(text("err"), testing::Not(HasSubstr("last words")));
}

TEST_F(LaunchSessionTest, InterruptsGrowLessPatient) {
    start();
    session->on_signal(SIGINT);
    EXPECT_THAT(group.ends, ElementsAre(5s));
    session->on_signal(SIGINT);
    EXPECT_THAT(group.ends, ElementsAre(5s, 0s));
    EXPECT_THAT(exits, IsEmpty());
    for (int rank = 0; rank < 4; ++rank) group.exit(rank, {false, 1});
    EXPECT_EQ(finish(), 130);
    EXPECT_LE(std::ranges::count(text("err"), '\n'), 3);
}

TEST_F(LaunchSessionTest, TheThirdInterruptDoesNotWait) {
    start();
    for (int press = 0; press < 3; ++press) session->on_signal(SIGINT);
    EXPECT_THAT(exits, ElementsAre(130));
}

TEST_F(LaunchSessionTest, TerminationEndsGracefully) {
    start();
    session->on_signal(SIGTERM);
    EXPECT_THAT(group.ends, ElementsAre(5s));
    EXPECT_EQ(finish(), 143);
}

TEST_F(LaunchSessionTest, AnInterruptAfterAFailureForcesTheEnd) {
    start();
    group.exit(2, {false, 3});
    run_until([&] { return !group.ends.empty(); });
    session->on_signal(SIGINT);
    EXPECT_THAT(group.ends, ElementsAre(5s, 0s));
    EXPECT_EQ(finish(), 3);
}

TEST_F(LaunchSessionTest, TimeoutIs124) {
    options.timeout = 1ms;
    start();
    group.exit(0, {});
    run_until([&] { return !group.ends.empty(); });
    for (const int rank : {1, 2, 3}) group.exit(rank, {true, SIGTERM}, true);
    EXPECT_EQ(finish(), 124);
    EXPECT_THAT(text("err"), HasSubstr("time-out after 0.001 s: ranks 1-3"));
}

TEST_F(LaunchSessionTest, ALostGroupIs125) {
    start();
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = "launcher mpirun ended";
    group.callbacks.on_lost(failure);
    EXPECT_EQ(finish(), 125);
    EXPECT_THAT(text("err"), HasSubstr("launcher mpirun ended"));
}

TEST_F(LaunchSessionTest, WhatCannotBeEndedIsNamed) {
    start();
    session->on_signal(SIGTERM);
    group.end({{4711}});
    run_until([this] { return done; });
    EXPECT_THAT(session->result().surviving_pids, ElementsAre(4711));
    EXPECT_THAT(text("err"), HasSubstr("could not be ended: 4711"));
}

TEST_F(LaunchSessionTest, ARanksFailureGoesBeforeTheLaunchers) {
    start();
    group.exit(1, {false, 4});
    Failure failure;
    failure.code = ReturnCode::launch_error;
    group.callbacks.on_lost(failure);
    EXPECT_EQ(finish(), 4);
}

TEST_F(LaunchSessionTest, SuspendStopsTheRanksAndContinuesThem) {
    start();
    session->on_signal(SIGTSTP);
    session->on_signal(SIGTSTP);
    EXPECT_THAT(group.signals, ElementsAre(SIGSTOP));
    for (const int rank : {0, 1, 2}) group.callbacks.on_signalled({rank, SIGSTOP});
    EXPECT_EQ(stops, 0);  // the last one's order might still be on its way
    group.exit(3, {});
    EXPECT_EQ(stops, 1);
    session->on_signal(SIGCONT);
    EXPECT_THAT(group.signals, ElementsAre(SIGSTOP, SIGCONT));
    session->on_signal(SIGCONT);
    EXPECT_THAT(group.signals, ElementsAre(SIGSTOP, SIGCONT));
    EXPECT_EQ((session->on_signal(SIGTERM), finish()), 143);
}

TEST_F(LaunchSessionTest, InputIsWantedWhenItsReadersRun) {
    start(0);
    group.callbacks.on_started({1, 101, "here"});
    EXPECT_EQ(inputs_wanted, 0);
    group.callbacks.on_started({0, 100, "here"});
    EXPECT_EQ(inputs_wanted, 1);
    EXPECT_EQ((session->on_signal(SIGTERM), finish()), 143);
}

TEST_F(LaunchSessionTest, InputForAllIsWantedWhenAllRun) {
    options.group.stdin_mode = wire::StdinMode::all;
    start(3);
    EXPECT_EQ(inputs_wanted, 0);
    group.callbacks.on_started({3, 103, "here"});
    EXPECT_EQ(inputs_wanted, 1);
    EXPECT_EQ((session->on_signal(SIGTERM), finish()), 143);
}

TEST_F(LaunchSessionTest, TheLauncherIsShownUntilTheEndBegins) {
    options.label = true;
    options.group.launcher = "mpirun";
    start();
    group.output(-1, kErr, "warning\n");
    session->on_signal(SIGTERM);
    group.output(-1, kErr, "a trace of our own order\n");
    EXPECT_EQ(finish(), 143);
    EXPECT_THAT(text("err"), HasSubstr("[mpirun] warning\n"));
    EXPECT_THAT(text("err"), testing::Not(HasSubstr("trace")));
}

TEST_F(LaunchSessionTest, OurWordsStartALineOfTheirOwn) {
    start();
    group.output(1, kErr, "no line end");
    group.exit(1, {false, 3});
    EXPECT_EQ(finish(), 3);
    EXPECT_THAT(text("err"), testing::StartsWith("no line end\nrankexec: rank 1"));
}

TEST_F(LaunchSessionTest, InputGoesToTheGroup) {
    start();
    EXPECT_TRUE(session->on_input({std::byte{'h'}, std::byte{'i'}}));
    group.input_has_room = false;
    EXPECT_FALSE(session->on_input({}));
    EXPECT_EQ(group.input, "hi");
    EXPECT_TRUE(group.input_ended);
    EXPECT_EQ((session->on_signal(SIGTERM), finish()), 143);
}

TEST_F(LaunchSessionTest, AReaderThatIsGoneEndsTheGroup) {
    std::signal(SIGPIPE, SIG_IGN);
    output_to_pipe().reset();
    start();
    group.output(0, kOut, "nobody reads this\n");
    // What nobody takes still counts as dealt with: the ranks must not wait for it.
    run_until([&] { return !group.ends.empty() && group.acknowledged.size() == 1; });
    for (int rank = 0; rank < 4; ++rank) group.exit(rank, {true, SIGTERM}, true);
    EXPECT_EQ(finish(), 141);
}

TEST_F(LaunchSessionTest, StandardErrorThatCannotBeWrittenEndsNothingButIsNoSuccess) {
    const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    options.error_fd = full.get();
    start();
    group.output(0, kErr, "lost\n");
    for (int rank = 0; rank < 4; ++rank) group.exit(rank, {});
    EXPECT_EQ(finish(), 1);
    EXPECT_THAT(group.ends, IsEmpty());
    EXPECT_THAT(session->result().failure->message, HasSubstr("No space left"));
}

TEST_F(LaunchSessionTest, TheLastBytesOfTheOutputCountAsWell) {
    const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    options.output_fd = full.get();
    start();
    group.output(0, kOut, "a line without an end");  // held back until the very end
    for (int rank = 0; rank < 4; ++rank) group.exit(rank, {});
    EXPECT_EQ(finish(), 1);
    EXPECT_THAT(session->result().failure->message, HasSubstr("No space left"));
    EXPECT_THAT(text("err"), HasSubstr("No space left"));
}

TEST_F(LaunchSessionTest, ALogThatIsIncompleteIsNoSuccessButARanksFailureGoesFirst) {
    for (const int code : {0, 9}) {
        done = false;
        start();
        for (int rank = 0; rank < 4; ++rank) {
            group.callbacks.on_output_end({rank, rank == 1 ? "log rank-1.out is incomplete: disk" : ""});
            group.exit(rank, {false, rank == 3 ? code : 0});
        }
        EXPECT_EQ(finish(), code == 0 ? 1 : 9);
        const std::string expected = code == 0 ? "log rank-1.out is incomplete: disk" : "exit code 9";
        EXPECT_THAT(text("err"), HasSubstr(expected));
    }
}

TEST_F(LaunchSessionTest, AReaderThatTakesNothingDoesNotHoldUpAnEndThatWasAskedFor) {
    std::signal(SIGPIPE, SIG_IGN);  // the writer is still at it when the reader goes
    const auto reader = output_to_pipe();
    start();
    group.output(0, kOut, std::string(1 << 20, 'x'));
    session->on_signal(SIGTERM);
    for (int rank = 0; rank < 4; ++rank) group.exit(rank, {true, SIGTERM}, true);
    EXPECT_EQ(finish(), 143);
    // The abandoned writer may still be in its write: its descriptor must not become another file's.
    static_cast<void>(output.release());
}

TEST_F(LaunchSessionTest, ASlowReaderHoldsUpOnlyTheOutput) {
    const auto reader = output_to_pipe();
    start();
    const std::string much(1 << 20, 'x');
    group.output(0, kOut, much);
    group.exit(1, {false, 9});
    run_until([&] { return !group.ends.empty(); });
    EXPECT_THAT(group.acknowledged, IsEmpty());
    group.end();
    // Only now does somebody read: all of it arrives before the end.
    std::thread drain([&] {
        std::vector<char> buffer(64 * 1024);
        std::size_t left = much.size();
        while (left > 0) left -= static_cast<std::size_t>(::read(reader.get(), buffer.data(), buffer.size()));
    });
    run_until([this] { return done; });
    drain.join();
    EXPECT_EQ(session->result().exit_code, 9);
}

TEST(LaunchSession, AGroupThatDoesNotStartIsAFailure) {
    EventLoop loop;
    LaunchSession::Hooks hooks;
    hooks.start = [](EventLoop&, const GroupOptions&, const RankGroup::Callbacks&) {
        Failure failure;
        failure.code = ReturnCode::launch_error;
        return tl::expected<std::unique_ptr<RankGroup>, Failure>(tl::unexpected(failure));
    };
    LaunchSession session(loop, {}, std::move(hooks));
    EXPECT_FALSE(session.start().has_value());
}

}  // namespace
}  // namespace rankexec::cli
