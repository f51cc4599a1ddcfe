// SPDX-License-Identifier: Apache-2.0
// The executor, our launchers, and real programs: what goes well, and what programs do that does not. That nothing is
// left is checked by the harness that every case runs under.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>

#include "fake_launcher.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/executor/outside/launcher_executor.hpp"
#include "rankexec/core/executor/outside/rank_group_launcher.hpp"
#include "rankexec/core/executor/outside/subprocess_launcher.hpp"
#include "rankexec/core/model/event_type.hpp"
#include "unit/pipe/forms.hpp"

namespace rankexec::test {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;

class L16_LaunchedProgram : public ::testing::Test {
protected:
    L16_LaunchedProgram() {
        launch.shutdown_timeout = milliseconds(500);
        launch.grace = milliseconds(500);
        launch.on_output = [](int, wire::OutputStream, std::string_view) {};
        options.exchange.heartbeat_interval = milliseconds(500);
    }
    ~L16_LaunchedProgram() override { executor.reset(); }
    void make(std::vector<std::string> steps = {}) {
        steps.insert(steps.begin(), RANKEXEC_OUTSIDE_PROGRAM);
        launch.command = std::move(steps);
        use(std::make_shared<SubprocessLauncher>(launch));
    }
    void use(std::shared_ptr<Launcher> launcher) {
        executor = std::make_unique<LauncherExecutor>(std::move(launcher), options);
        const auto ready = executor->initialise(context_);
        ASSERT_TRUE(ready) << ready.error().describe();
    }
    Shareable run(const std::string& action = "echo") {
        Shareable input;
        input.body = action;
        auto reply = executor->execute("train", input, context_, abort_);
        if (!reply.ok()) last_failure = reply.failure->describe();
        return reply;
    }
    std::int64_t pid_of(const Shareable& reply) {
        EXPECT_TRUE(reply.ok()) << last_failure;
        const auto* pid = reply.header("pid");
        return pid == nullptr ? -1 : pid->integer_or(-1);
    }

    SubprocessLauncherOptions launch;
    LauncherExecutorOptions options;
    std::unique_ptr<LauncherExecutor> executor;
    std::string last_failure;
    Context context_;
    Signal abort_;
};

TEST_F(L16_LaunchedProgram, OneProgramServesManyTasks) {
    make();
    const auto first = pid_of(run());
    for (int task = 0; task < 20; ++task) EXPECT_EQ(pid_of(run()), first);
    EXPECT_EQ(executor->report().facts.pid, first);
}

TEST_F(L16_LaunchedProgram, OneProgramPerTask) {
    launch.launch_once = false;
    make();
    std::set<std::int64_t> pids;
    for (int task = 0; task < 3; ++task) pids.insert(pid_of(run()));
    EXPECT_EQ(pids.size(), 3U);
}

TEST_F(L16_LaunchedProgram, OverFilesInAFolderOfTheUsers) {
    const TemporaryFolder folder;
    options.pipe.form = ExchangePipeOptions::Form::files;
    options.pipe.directory = folder.path();
    make();
    for (int task = 0; task < 3; ++task) EXPECT_TRUE(run().ok()) << last_failure;
    EXPECT_FALSE(std::filesystem::is_empty(folder.path()));
    executor->finalise();
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST_F(L16_LaunchedProgram, AFolderThatCannotBeUsedIsNamedWithItsOption) {
    options.pipe.form = ExchangePipeOptions::Form::files;
    options.pipe.directory = "/nowhere";
    LauncherExecutor refused(std::make_shared<FakeLauncher>(), options);
    Context context;
    const auto ready = refused.initialise(context);
    ASSERT_FALSE(ready);
    EXPECT_THAT(ready.error().message, AllOf(HasSubstr("/nowhere"), HasSubstr("pipe_directory")));
}

TEST_F(L16_LaunchedProgram, ADeferredStopLetsItEndByItself) {
    launch.launch_once = false;
    options.deferred_stop = milliseconds(20'000);
    make();
    EXPECT_TRUE(run("late").ok()) << last_failure;
    EXPECT_TRUE(run("late").ok()) << last_failure;
    EXPECT_EQ(executor->report().ended_by_us, false);
}

TEST_F(L16_LaunchedProgram, RunsOneAfterAnother) {
    make();
    for (int again = 0; again < 3; ++again) {
        EXPECT_TRUE(run().ok()) << last_failure;
        executor->finalise();
        ASSERT_TRUE(executor->initialise(context_));
    }
}

TEST_F(L16_LaunchedProgram, ACrashIsNamedAndTheNextTaskWorks) {
    make({"err=about to start\\n"});
    for (const auto& [action, exit] : {std::pair{"exit=3", ExitStatus{false, 3}},
                                       {"kill=9", ExitStatus{true, SIGKILL}},
                                       {"kill=11", ExitStatus{true, SIGSEGV}}}) {
        const auto reply = run(action);
        EXPECT_EQ(reply.code, ReturnCode::execution_exception);
        EXPECT_EQ(reply.failure->exit, exit);
        EXPECT_EQ(reply.failure->task, "train");
        EXPECT_GT(reply.failure->pid, 0);
        EXPECT_THAT(reply.failure->message, AllOf(HasSubstr(RANKEXEC_OUTSIDE_PROGRAM), HasSubstr("before its result"),
                                                  HasSubstr(to_string(exit)), HasSubstr("ended by itself")));
        EXPECT_THAT(reply.failure->stderr_tail, testing::Contains("about to start"));
        EXPECT_TRUE(run().ok()) << last_failure;
    }
}

TEST_F(L16_LaunchedProgram, AProgramThatDiesBetweenTasksIsLaunchedAnew) {
    make();
    for (int death = 0; death < 3; ++death) {
        const auto pid = pid_of(run());
        ::kill(static_cast<pid_t>(pid), SIGKILL);
        while (!executor->report().facts.exit) std::this_thread::sleep_for(milliseconds(5));
        EXPECT_NE(pid_of(run()), pid);
    }
}

TEST_F(L16_LaunchedProgram, AProgramThatLeavesWithoutAResultAbortsTheTask) {
    make({"out=one\\ntwo\\n"});
    const auto reply = run("leave");
    EXPECT_EQ(reply.code, ReturnCode::task_aborted);
    EXPECT_THAT(reply.failure->message, AllOf(HasSubstr("without a result"), HasSubstr("exit code 0"),
                                              HasSubstr("last lines of its standard output:\n    one\n    two")));
    EXPECT_TRUE(run().ok()) << last_failure;
    // Its farewell comes before its exit code.
    const auto failed = run("leave=4");
    EXPECT_EQ(failed.code, ReturnCode::execution_exception);
    EXPECT_EQ(failed.failure->exit, (ExitStatus{false, 4}));
    EXPECT_TRUE(run().ok()) << last_failure;
}

TEST_F(L16_LaunchedProgram, AProgramThatVanishesWithCode0HasTheTimeOfTheLastResult) {
    options.last_result_transfer = milliseconds(100);
    make();
    const auto reply = run("vanish");
    EXPECT_EQ(reply.code, ReturnCode::execution_exception);
    EXPECT_THAT(reply.failure->message, AllOf(HasSubstr("last_result_transfer"), HasSubstr("exit code 0")));
    EXPECT_TRUE(run().ok()) << last_failure;
}

TEST_F(L16_LaunchedProgram, AHangEndsWithTheTasksTime) {
    options.exchange.task_timeout = milliseconds(3'000);  // enough for the next task
    make({"child"});
    const auto reply = run("sleep");
    EXPECT_EQ(reply.code, ReturnCode::execution_exception);
    EXPECT_THAT(reply.failure->message, AllOf(HasSubstr("3000 ms (task_timeout)"), HasSubstr("which we have ended")));
    EXPECT_TRUE(run().ok()) << last_failure;
}

TEST_F(L16_LaunchedProgram, AStoppedProgramIsGoneAfterItsSilence) {
    options.exchange.heartbeat_interval = milliseconds(100);
    options.exchange.peer_gone_after = milliseconds(3'000);
    make({"child"});
    const auto reply = run("kill=" + std::to_string(SIGSTOP));
    EXPECT_EQ(reply.code, ReturnCode::task_aborted);
    EXPECT_THAT(reply.failure->message, HasSubstr("peer_gone_after"));
    EXPECT_TRUE(run().ok()) << last_failure;
}

TEST_F(L16_LaunchedProgram, AnAbortEndsATaskThatHangs) {
    make({"ignore-term"});
    std::promise<void> executing;
    auto reply = std::async(std::launch::async, [this] { return run("sleep"); });
    std::this_thread::sleep_for(milliseconds(300));  // whenever it comes the reply is the same
    abort_.trigger("enough");
    EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
    abort_ = Signal();
    EXPECT_TRUE(run().ok()) << last_failure;
}

TEST_F(L16_LaunchedProgram, AProgramThatNeverConnectsIsNamed) {
    options.pre_initialise = milliseconds(300);
    make({"err=warming up\\n", "sleep"});
    const auto reply = run();
    EXPECT_EQ(reply.code, ReturnCode::initialisation_error);
    EXPECT_THAT(reply.failure->message,
                AllOf(HasSubstr("300 ms (pre_initialise)"), HasSubstr("rankexec::agent::init"),
                      HasSubstr(RANKEXEC_OUTSIDE_PROGRAM), HasSubstr("which we have ended (signal 15")));
    EXPECT_THAT(reply.failure->stderr_tail, testing::ElementsAre("warming up"));
}

TEST_F(L16_LaunchedProgram, AProgramThatEndsBeforeItConnectsIsNamedAtOnce) {
    make({"err=no licence\\n", "exit=12"});
    const auto reply = run();
    EXPECT_EQ(reply.code, ReturnCode::execution_exception);
    EXPECT_EQ(reply.failure->exit, (ExitStatus{false, 12}));
    EXPECT_THAT(reply.failure->stderr_tail, testing::ElementsAre("no licence"));
    make({"exit=0"});
    EXPECT_EQ(run().code, ReturnCode::initialisation_error);
}

TEST_F(L16_LaunchedProgram, AMissingProgramIsNamed) {
    launch.command = {"/no/such/program"};
    use(std::make_shared<SubprocessLauncher>(launch));
    const auto reply = run();
    EXPECT_EQ(reply.code, ReturnCode::launch_error);
    EXPECT_THAT(reply.failure->message, AllOf(HasSubstr("/no/such/program"), HasSubstr("No such file")));
}

TEST_F(L16_LaunchedProgram, StrangeOutputDisturbsNothing) {
    make({"garbage", "out=no line break at the end", "close-stdout"});
    EXPECT_TRUE(run().ok()) << last_failure;
    EXPECT_TRUE(run("garbage").ok()) << last_failure;
    EXPECT_EQ(run("exit=1").failure->exit, (ExitStatus{false, 1}));
}

TEST_F(L16_LaunchedProgram, MegabytesWithoutALineBreakDisturbNothing) {
    make();
    EXPECT_TRUE(run("flood=33554432").ok()) << last_failure;
    const auto reply = run("exit=2");
    EXPECT_EQ(reply.failure->exit, (ExitStatus{false, 2}));
    EXPECT_LT(reply.failure->message.size(), 5'000U);
}

TEST_F(L16_LaunchedProgram, DescendantsThatIgnoreSigtermGoWithTheirProgram) {
    make({"child", "child"});
    EXPECT_TRUE(run("child").ok()) << last_failure;
    EXPECT_EQ(run("exit=1").code, ReturnCode::execution_exception);
    EXPECT_TRUE(run("child").ok()) << last_failure;
}

TEST_F(L16_LaunchedProgram, WhatItLogsIsFiredInTheEngine) {
    struct Listener : Component {
        void handle_event(const std::string& type, Context& context) override {
            if (type == "metric") figures.push_back(to_json(context.get("metric").value_or(Value())));
        }
        std::vector<std::string> figures;
    };
    launch.command = {RANKEXEC_OUTSIDE_PROGRAM};
    Engine engine;
    auto listener = std::make_unique<Listener>();
    const auto& heard = *listener;
    engine.add("listener", std::move(listener));
    auto owned = std::make_unique<LauncherExecutor>(std::make_shared<SubprocessLauncher>(launch), options);
    auto& launched = *owned;
    engine.add("executor", std::move(owned));
    auto context = engine.new_context();
    engine.fire_event(std::string(event::kStartRun), context);
    Shareable input;
    input.body = "log";
    EXPECT_TRUE(launched.execute("train", input, context, {}).ok());
    EXPECT_THAT(heard.figures, testing::ElementsAre(R"({"loss":0.5})"));
    engine.fire_event(std::string(event::kAboutToEndRun), context);
    engine.fire_event(std::string(event::kEndRun), context);
}

TEST_F(L16_LaunchedProgram, Rank0OfAGroupHoldsThePipe) {
    RankGroupLauncherOptions group;
    group.shutdown_timeout = milliseconds(200);
    group.group.world_size = 3;
    group.group.program = {RANKEXEC_OUTSIDE_PROGRAM};
    use(std::make_shared<RankGroupLauncher>(group));
    const auto first = pid_of(run());
    EXPECT_EQ(pid_of(run()), first);
    const auto reply = run("exit=9");
    EXPECT_EQ(reply.code, ReturnCode::execution_exception);
    EXPECT_EQ(reply.failure->rank, 0);
    EXPECT_EQ(reply.failure->exit, (ExitStatus{false, 9}));
    EXPECT_NE(pid_of(run()), first);
}

}  // namespace
}  // namespace rankexec::test
