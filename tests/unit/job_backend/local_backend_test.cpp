// SPDX-License-Identifier: Apache-2.0
// Local runs of parts. That nothing is left is checked by the harness that every case runs under.
#include "rankexec/core/job/backend/local_backend.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "rankexec/core/component/configuration_error.hpp"
#include "unit/job_backend/end_recorder.hpp"

namespace rankexec::job::test {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = RunEnd::Kind;

class LocalBackendTest : public RunFolder {
protected:
    LocalBackendTest() { make({}); }
    void make(LocalBackendOptions options) {
        backend.reset();
        backend = std::make_unique<LocalBackend>(options);
        ends.listen_to(*backend);
    }
    RunEnd run(const RunSpec& spec) {
        const auto started = backend->start(spec);
        EXPECT_TRUE(started) << started.error().describe();
        return ends.wait_for(spec.job);
    }

    EndRecorder ends;
    std::unique_ptr<LocalBackend> backend;
};

using J11_Backend = LocalBackendTest;
using J6_Backend = LocalBackendTest;
using J4_Backend = LocalBackendTest;

TEST_F(J11_Backend, TellsSuccessFailureAndDeathApart) {
    const auto success = run(shell("a", "exit 0"));
    EXPECT_EQ(success.kind, Kind::success);
    EXPECT_EQ(success.exit, (ExitStatus{false, 0}));
    const auto failure = run(shell("b", "echo out of luck >&2; exit 3"));
    EXPECT_EQ(failure.kind, Kind::failure);
    EXPECT_EQ(failure.exit, (ExitStatus{false, 3}));
    EXPECT_EQ(failure.detail, "exit code 3: out of luck");
    const auto killed = run(shell("c", "kill -KILL $$"));
    EXPECT_EQ(killed.kind, Kind::killed);
    EXPECT_EQ(killed.exit, (ExitStatus{true, SIGKILL}));
    EXPECT_THAT(killed.detail, HasSubstr("SIGKILL"));
}

TEST_F(J11_Backend, ALaunchThatFailsIsAClassOfItsOwn) {
    auto spec = shell("a", "");
    spec.command = {"/nowhere/at-all"};
    auto started = backend->start(spec);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, ReturnCode::launch_error);
    EXPECT_THAT(started.error().message, HasSubstr("/nowhere/at-all"));
    spec = shell("a", "exit 0");
    spec.directory = folder() / "missing";
    started = backend->start(spec);
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().message, HasSubstr("missing"));
    spec = shell("a", "exit 0");
    spec.log = folder() / "missing" / "log";
    EXPECT_FALSE(backend->start(spec));
    spec = shell("a", "exit 0");
    spec.environment = {"no name"};
    EXPECT_FALSE(backend->start(spec));
    EXPECT_FALSE(backend->runs("a"));
    EXPECT_THAT(ends.all(), IsEmpty());
    // The token was not used up.
    EXPECT_EQ(run(shell("a", "exit 0")).kind, Kind::success);
}

TEST_F(J4_Backend, OutputGoesToTheLogInItsDirectoryWithItsEnvironment) {
    std::ofstream(folder() / "log") << "before\n";
    auto spec = shell("a", "pwd; echo $SECRET; echo to stderr >&2");
    spec.environment = {"SECRET=s3cret"};
    EXPECT_EQ(run(spec).kind, Kind::success);
    const auto log = text_of(spec.log);
    EXPECT_THAT(log, testing::StartsWith("before\n"));
    EXPECT_THAT(log, HasSubstr(std::filesystem::canonical(spec.directory).string() + "\n"));
    EXPECT_THAT(log, HasSubstr("s3cret\n"));
    EXPECT_THAT(log, HasSubstr("to stderr\n"));
}

TEST_F(J4_Backend, ItsLogIsForItsOwnerOnly) {
    const auto spec = shell("a", "exit 0");
    (void)run(spec);
    using std::filesystem::perms;
    EXPECT_EQ(std::filesystem::status(spec.log).permissions(), perms::owner_read | perms::owner_write);
}

TEST_F(J4_Backend, NoSecretIsInACommandLine) {
    // The secret's value is nowhere in the command lines of the processes that there are while it runs.
    auto spec = shell("a",
                      "all=$(cat /proc/[0-9]*/cmdline | tr '\\0' ' '); "
                      "case \"$all\" in *$SECRET_A$SECRET_B*) exit 9;; *pause*) exit 0;; *) exit 8; esac");
    // What it finds is true only if it sees the supervisor and itself.
    spec.command.emplace_back("pause");
    spec.environment = {"SECRET_A=very", "SECRET_B=hidden", "SECRET=veryhidden"};
    const auto end = run(spec);
    EXPECT_EQ(end.kind, Kind::success) << text_of(spec.log);
}

TEST_F(J4_Backend, TheSameTokenNeverRunsTwice) {
    const auto spec = shell("a", "echo once >> ran; read never < " + fifo("never"));
    ASSERT_TRUE(backend->start(spec));
    std::vector<std::future<bool>> again;
    for (int i = 0; i < 4; ++i) {
        again.push_back(std::async(std::launch::async, [&] { return backend->start(spec).has_value(); }));
    }
    for (auto& each : again) EXPECT_TRUE(each.get());
    wait_for_text(folder() / "ran", "once\n");
    backend->stop("a");
    EXPECT_EQ(ends.wait_for("a").kind, Kind::stopped);
    // Also after it has ended.
    EXPECT_TRUE(backend->start(spec));
    EXPECT_FALSE(backend->runs("a"));
    EXPECT_EQ(text_of(folder() / "ran"), "once\n");
    EXPECT_EQ(ends.all().size(), 1U);
}

TEST_F(J4_Backend, AJobHasOneRunAtATimeAndAnotherAfterIt) {
    auto spec = shell("a", "read never < " + fifo("never"));
    ASSERT_TRUE(backend->start(spec));
    auto second = shell("a", "exit 0");
    second.token = "second";
    const auto refused = backend->start(second);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("another run"));
    backend->stop("a");
    EXPECT_EQ(ends.wait_for("a").kind, Kind::stopped);
    ASSERT_TRUE(backend->start(second));
    EXPECT_EQ(ends.wait_for("a", 2).kind, Kind::success);
}

TEST_F(J4_Backend, SeesTheAllottedGpusAndNoOthers) {
    auto spec = shell("a", "echo \"<$CUDA_VISIBLE_DEVICES>\"");
    spec.gpus = {"GPU-5", "2"};
    (void)run(spec);
    auto none = shell("b", "echo \"<$CUDA_VISIBLE_DEVICES>\" ${CUDA_VISIBLE_DEVICES+set}");
    none.log = folder() / "log-b";
    (void)run(none);
    EXPECT_THAT(text_of(spec.log), HasSubstr("<GPU-5,2>"));
    EXPECT_THAT(text_of(none.log), HasSubstr("<> set"));
}

TEST_F(J6_Backend, StopEndsEverythingThatTheRunStarted) {
    make({milliseconds(200)});
    const auto spec = shell("a",
                            "trap '' TERM; (trap '' TERM; setsid sleep 1000) & sleep 1000 & echo up > up; "
                            "while :; do wait; done");
    ASSERT_TRUE(backend->start(spec));
    wait_for_text(folder() / "up", "up\n");
    EXPECT_TRUE(backend->runs("a"));
    backend->stop("a");
    EXPECT_EQ(ends.wait_for("a").kind, Kind::stopped);
    EXPECT_FALSE(backend->runs("a"));
    EXPECT_THAT(children_of_this_process(), IsEmpty());
    backend->stop("a");  // nothing
    backend->stop("unknown");
}

TEST_F(J6_Backend, ASoftStopLetsTheRunFinish) {
    const auto spec = shell("a", "trap 'echo saved > saved; exit 0' TERM; echo up > up; while :; do read never < " +
                                     fifo("never") + " & wait; done");
    ASSERT_TRUE(backend->start(spec));
    wait_for_text(folder() / "up", "up\n");
    backend->stop("a");
    EXPECT_EQ(ends.wait_for("a").kind, Kind::stopped);
    EXPECT_EQ(text_of(folder() / "saved"), "saved\n");
}

TEST_F(J6_Backend, WhatAnEndedRunLeavesInTheBackgroundIsEnded) {
    const auto spec = shell("a", "setsid sleep 1000 & exit 0");
    EXPECT_EQ(run(spec).kind, Kind::success);
    EXPECT_THAT(children_of_this_process(), IsEmpty());
}

TEST_F(J6_Backend, ItsDestructorEndsAllRuns) {
    for (const auto* job : {"a", "b", "c"}) {
        ASSERT_TRUE(backend->start(shell(job, "read never < " + fifo(job))));
    }
    backend.reset();
    EXPECT_THAT(children_of_this_process(), IsEmpty());
    EXPECT_THAT(ends.all(), IsEmpty());
}

TEST_F(J6_Backend, NothingSurvivesTheDeathOfTheSite) {
    const auto spec = shell("a", "echo up > up; setsid sleep 1000");
    const auto site = ::fork();
    ASSERT_GE(site, 0);
    if (site == 0) {
        LocalBackend mine;
        (void)mine.start(spec);
        ::pause();
        ::_exit(1);
    }
    wait_for_text(folder() / "up", "up\n");
    ::kill(site, SIGKILL);
    EXPECT_EQ(::waitpid(site, nullptr, 0), site);
    // The next site's process: nothing to adopt. That nothing is left the harness checks.
    EXPECT_FALSE(backend->adopt(spec));
}

TEST_F(J4_Backend, AnEndMayStartTheNext) {
    std::promise<RunEnd> second_end;
    backend->on_end([&](const std::string& job, const RunEnd& end) {
        if (job == "a") {
            EXPECT_FALSE(backend->runs("a"));
            EXPECT_TRUE(backend->start(shell("b", "exit 4")));
        } else {
            second_end.set_value(end);
        }
    });
    ASSERT_TRUE(backend->start(shell("a", "exit 0")));
    EXPECT_EQ(second_end.get_future().get().exit, (ExitStatus{false, 4}));
}

TEST_F(J4_Backend, ManyShortRunsAreToldOnceEach) {
    constexpr int kRuns = 24;
    std::vector<std::thread> starters;
    for (int thread = 0; thread < 4; ++thread) {
        starters.emplace_back([&, thread] {
            for (int i = 0; i < kRuns / 4; ++i) {
                const auto job = std::to_string(thread) + "-" + std::to_string(i);
                EXPECT_TRUE(backend->start(shell(job, "exit " + std::to_string(i))));
            }
        });
    }
    for (auto& starter : starters) starter.join();
    for (int thread = 0; thread < 4; ++thread) {
        for (int i = 0; i < kRuns / 4; ++i) {
            const auto end = ends.wait_for(std::to_string(thread) + "-" + std::to_string(i));
            EXPECT_EQ(end.exit, (ExitStatus{false, i}));
        }
    }
    EXPECT_EQ(ends.all().size(), static_cast<std::size_t>(kRuns));
}

TEST(J4_LocalBackendOptions, ANegativeGraceIsRefused) {
    EXPECT_THROW(LocalBackend({milliseconds(-1)}), ConfigurationError);
}

}  // namespace
}  // namespace rankexec::job::test
