// SPDX-License-Identifier: Apache-2.0
// L11 to L15: the executor with a launcher that is none of ours, and whose program is a thread of this test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <thread>

#include "fake_launcher.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/model/event_type.hpp"

namespace rankexec::test {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Executor : public ::testing::Test {
protected:
    ~Executor() override {
        // What a launcher was made to wait for ends first.
        released_.trigger("the test is over");
        engine_.reset();
        launcher->end_program();
    }
    void make() {
        auto executor = std::make_unique<LauncherExecutor>(launcher, options);
        executor_ = executor.get();
        engine_ = std::make_unique<Engine>();
        engine_->add("executor", std::move(executor));
        fire(event::kStartRun);
    }
    void fire(std::string_view type) {
        auto context = engine_->new_context();
        engine_->fire_event(std::string(type), context);
    }
    std::future<Shareable> start(const std::string& task = "train", Shareable input = {}) {
        return std::async(std::launch::async, [this, task, input] {
            Context context;
            return executor_->execute(task, input, context, abort_);
        });
    }
    Shareable run(const std::string& task = "train", Shareable input = {}) {
        return start(task, std::move(input)).get();
    }
    static Shareable number(int value) {
        Shareable content;
        content.body = value;
        return content;
    }
    /// The program takes a task, and never answers it.
    static void keep(agent::Agent& agent) {
        (void)agent.get_task(kLong);
        (void)agent.get_task(kLong);
        while (agent.is_running()) std::this_thread::sleep_for(milliseconds(5));
    }
    LauncherExecutor& executor() { return *executor_; }
    Engine& engine() { return *engine_; }

    std::shared_ptr<FakeLauncher> launcher = std::make_shared<FakeLauncher>();
    LauncherExecutorOptions options;
    Signal abort_;
    Signal released_;  ///< what a launcher that hangs waits for

private:
    std::unique_ptr<Engine> engine_;
    LauncherExecutor* executor_ = nullptr;
};

// ---- L11: defaults -----------------------------------------------------------------------------

TEST(L11_LauncherExecutorOptions, Defaults) {
    const LauncherExecutorOptions options;
    EXPECT_EQ(options.launch_timeout, milliseconds(0));
    EXPECT_EQ(options.pre_initialise, milliseconds(60'000));
    EXPECT_EQ(options.last_result_transfer, milliseconds(300'000));
    EXPECT_EQ(options.monitor_interval, milliseconds(100));
    EXPECT_EQ(options.deferred_stop, milliseconds(0));
    EXPECT_EQ(options.train_task, "train");
    EXPECT_EQ(options.validate_task, "validate");
    EXPECT_EQ(options.submit_model_task, "submit_model");
    options.validate();
}

class L11_LauncherExecutor : public Executor {
protected:
    std::string refusal() {
        try {
            const LauncherExecutor refused(launcher, options);
        } catch (const ConfigurationError& error) {
            return error.what();
        }
        return {};
    }
};

TEST_F(L11_LauncherExecutor, ContradictionsAreRefusedWithBothValues) {
    options.deferred_stop = milliseconds(700);
    EXPECT_EQ(refusal(), "");
    launcher->stops_after_task = false;
    EXPECT_THAT(refusal(), AllOf(HasSubstr("700 ms"), HasSubstr("launch_once is true")));
    options.deferred_stop = milliseconds(0);
    launcher->longest = 5'000;
    options.stop_timeout = milliseconds(4'000);
    EXPECT_THAT(refusal(), AllOf(HasSubstr("4000 ms"), HasSubstr("5000 ms")));
    options.stop_timeout = milliseconds(6'000);
    EXPECT_EQ(refusal(), "");
    options.exchange.peer_gone_after = milliseconds(10);
    EXPECT_THAT(refusal(), AllOf(HasSubstr("10 ms"), HasSubstr("5000 ms")));
    options.exchange = {};
    options.train_task = options.validate_task;
    EXPECT_THAT(refusal(), HasSubstr("two tasks have the name \"validate\""));
    options.train_task = "no topic";
    EXPECT_THAT(refusal(), HasSubstr("train_task"));
    options.train_task = options.validate_task = options.submit_model_task = "";
    EXPECT_THAT(refusal(), HasSubstr("none would be taken"));
    options = {};
    options.pipe.directory = "/tmp";
    EXPECT_THAT(refusal(), HasSubstr("ZeroMQ"));
    EXPECT_THROW(LauncherExecutor(nullptr), ConfigurationError);
}

TEST_F(L11_LauncherExecutor, WithoutALimitALaunchMayTakeItsTime) {
    launcher->on_launch = [this](const Launcher::Launch& launch,
                                 const Signal&) -> tl::expected<Launcher::Launched, Failure> {
        std::this_thread::sleep_for(milliseconds(200));
        launcher->start(launch);
        return Launcher::Launched::started;
    };
    make();
    EXPECT_TRUE(run().ok());
}

// ---- L12: one task -----------------------------------------------------------------------------

class L12_LauncherExecutor : public Executor {};

TEST_F(L12_LauncherExecutor, LaunchesHandsOverAndStops) {
    make();
    EXPECT_EQ(launcher->launches, 0);
    const auto result = run("train", number(3));
    EXPECT_TRUE(result.ok()) << result.failure->describe();
    EXPECT_EQ(result.body, Value(3));
    EXPECT_EQ(launcher->launches, 1);
    EXPECT_THAT(launcher->stops(), ElementsAre("train finished"));
}

TEST_F(L12_LauncherExecutor, OverFilesToo) {
    options.pipe.form = ExchangePipeOptions::Form::files;
    make();
    for (int round = 0; round < 3; ++round) EXPECT_EQ(run("train", number(round)).body, Value(round));
}

TEST_F(L12_LauncherExecutor, AProgramThatServesManyTasksGoesOn) {
    launcher->stops_after_task = false;
    launcher->on_launch = [this](const Launcher::Launch& launch,
                                 const Signal&) -> tl::expected<Launcher::Launched, Failure> {
        if (launcher->status == RunStatus::running) return Launcher::Launched::running;
        launcher->start(launch);
        return Launcher::Launched::started;
    };
    std::atomic<int> programs = 0;
    launcher->program = [&](agent::Agent& agent) {
        ++programs;
        FakeLauncher::serve(agent);
    };
    make();
    for (int round = 0; round < 20; ++round) EXPECT_EQ(run("train", number(round)).body, Value(round));
    EXPECT_EQ(programs, 1);
    EXPECT_EQ(launcher->launches, 20);
}

TEST_F(L12_LauncherExecutor, AProgramThatHasLeftBetweenTasksIsLaunchedAnew) {
    launcher->stops_after_task = false;
    launcher->on_launch = [this](const Launcher::Launch& launch,
                                 const Signal&) -> tl::expected<Launcher::Launched, Failure> {
        if (launcher->status == RunStatus::running) return Launcher::Launched::running;
        launcher->start(launch);
        return Launcher::Launched::started;
    };
    launcher->program = [](agent::Agent& agent) { FakeLauncher::serve(agent, 1); };
    make();
    EXPECT_TRUE(run().ok());
    launcher->end_program();  // it has said goodbye, but its process goes on
    EXPECT_TRUE(run().ok());
    EXPECT_THAT(launcher->stops(), ElementsAre("train finished", "train given up", "train finished"));
}

TEST_F(L12_LauncherExecutor, ALaunchThatFailsIsItsFailure) {
    launcher->on_launch = [](const Launcher::Launch&, const Signal&) -> tl::expected<Launcher::Launched, Failure> {
        Failure failure;
        failure.code = ReturnCode::launch_error;
        failure.message = "no such program";
        return tl::unexpected(failure);
    };
    make();
    const auto result = run();
    EXPECT_EQ(result.code, ReturnCode::launch_error);
    EXPECT_THAT(result.failure->message, HasSubstr("no such program"));
    EXPECT_EQ(result.failure->task, "train");
    EXPECT_THAT(launcher->stops(), ElementsAre("train given up"));
}

TEST_F(L12_LauncherExecutor, ALaunchThatThrowsIsAFailure) {
    launcher->on_launch = [](const Launcher::Launch&, const Signal&) -> tl::expected<Launcher::Launched, Failure> {
        throw std::runtime_error("out of luck");
    };
    make();
    const auto result = run();
    EXPECT_EQ(result.code, ReturnCode::launch_error);
    EXPECT_THAT(result.failure->message, HasSubstr("out of luck"));
    EXPECT_THAT(launcher->stops(), ElementsAre("train given up"));
}

TEST_F(L12_LauncherExecutor, ALauncherHearsThatItsTimeIsOver) {
    options.launch_timeout = milliseconds(50);
    launcher->on_launch = [](const Launcher::Launch&,
                             const Signal& abort) -> tl::expected<Launcher::Launched, Failure> {
        EXPECT_TRUE(abort.wait_for(kLong));
        return Launcher::Launched::started;
    };
    make();
    const auto result = run();
    EXPECT_EQ(result.code, ReturnCode::launch_error);
    EXPECT_THAT(result.failure->message, HasSubstr("50 ms (launch_timeout)"));
    EXPECT_THAT(launcher->stops(), ElementsAre("train given up"));
}

TEST_F(L12_LauncherExecutor, ALaunchThatTakesTooLongIsGivenUp) {
    options.launch_timeout = milliseconds(50);
    options.status_timeout = milliseconds(50);
    launcher->on_launch = [released = released_](const Launcher::Launch&,
                                                 const Signal&) -> tl::expected<Launcher::Launched, Failure> {
        released.wait();
        return Launcher::Launched::started;
    };
    make();
    const auto result = run();
    EXPECT_EQ(result.code, ReturnCode::launch_error);
    EXPECT_THAT(result.failure->message, HasSubstr("50 ms (launch_timeout)"));
    EXPECT_THAT(launcher->stops(), ElementsAre("train given up"));
}

TEST_F(L12_LauncherExecutor, AnAbortReachesTheLauncherThatIsAtWork) {
    launcher->on_launch = [](const Launcher::Launch&,
                             const Signal& abort) -> tl::expected<Launcher::Launched, Failure> {
        EXPECT_TRUE(abort.wait_for(kLong));
        return Launcher::Launched::started;
    };
    make();
    auto reply = start();
    EXPECT_TRUE(launcher->wait_until([this] { return launcher->launches > 0; }));
    abort_.trigger("enough");
    EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
    EXPECT_THAT(launcher->stops(), ElementsAre("train given up"));
}

TEST_F(L12_LauncherExecutor, AProgramThatNeverConnectsIsAFailure) {
    options.pre_initialise = milliseconds(80);
    launcher->on_launch = [this](const Launcher::Launch&, const Signal&) -> tl::expected<Launcher::Launched, Failure> {
        launcher->status = RunStatus::running;
        return Launcher::Launched::started;
    };
    make();
    const auto result = run();
    EXPECT_EQ(result.code, ReturnCode::initialisation_error);
    EXPECT_THAT(result.failure->message, HasSubstr("80 ms (pre_initialise)"));
    EXPECT_THAT(launcher->stops(), ElementsAre("train given up"));
}

TEST_F(L12_LauncherExecutor, AnAbortWhileTheProgramComesUp) {
    launcher->on_launch = [this](const Launcher::Launch&, const Signal&) -> tl::expected<Launcher::Launched, Failure> {
        launcher->status = RunStatus::running;
        return Launcher::Launched::started;
    };
    make();
    auto reply = start();
    EXPECT_TRUE(launcher->wait_until([this] { return launcher->checks > 1; }));
    abort_.trigger("enough");
    EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
}

TEST_F(L12_LauncherExecutor, AProgramThatEndsBeforeItConnectsIsAFailureAtOnce) {
    for (const auto& [status, code] : {std::pair{RunStatus::failed, ReturnCode::execution_exception},
                                       {RunStatus::success, ReturnCode::initialisation_error},
                                       {RunStatus::not_running, ReturnCode::initialisation_error}}) {
        launcher->on_launch = [this, now = status](const Launcher::Launch&,
                                                   const Signal&) -> tl::expected<Launcher::Launched, Failure> {
            launcher->status = now;
            return Launcher::Launched::started;
        };
        make();
        const auto result = run();
        EXPECT_EQ(result.code, code);
        EXPECT_THAT(result.failure->message, HasSubstr("before it has connected"));
    }
}

TEST_F(L12_LauncherExecutor, ThePeerUpMarkIsClearedBeforeEachLaunch) {
    options.pre_initialise = milliseconds(3'000);  // enough for the first
    make();
    EXPECT_TRUE(run().ok());
    launcher->on_launch = [this](const Launcher::Launch&, const Signal&) -> tl::expected<Launcher::Launched, Failure> {
        launcher->status = RunStatus::running;
        return Launcher::Launched::started;
    };
    const auto second = run();
    EXPECT_EQ(second.code, ReturnCode::initialisation_error) << "what the program before said counts for none after it";
    ASSERT_TRUE(second.failure);
    EXPECT_THAT(second.failure->message, HasSubstr("pre_initialise"));
}

TEST_F(L12_LauncherExecutor, AProgramThatHasNotLeftYetIsNotTheNextOne) {
    options.pre_initialise = milliseconds(3'000);
    const Signal leave;
    launcher->program = [leave](agent::Agent& agent) {
        FakeLauncher::serve(agent, 1);
        leave.wait();  // and its heartbeats go on
    };
    make();
    EXPECT_TRUE(run().ok());
    launcher->on_launch = [&](const Launcher::Launch&, const Signal&) -> tl::expected<Launcher::Launched, Failure> {
        launcher->status = RunStatus::running;
        return Launcher::Launched::started;
    };
    auto second = start();
    // Long enough for some of its heartbeats, and then for its farewell.
    std::this_thread::sleep_for(20 * launcher->heartbeats);
    leave.trigger("");
    const auto reply = second.get();
    EXPECT_EQ(reply.code, ReturnCode::initialisation_error);
    ASSERT_TRUE(reply.failure);
    EXPECT_THAT(reply.failure->message, HasSubstr("pre_initialise"));
}

TEST_F(L12_LauncherExecutor, ADeferredStopLetsTheProgramLiveAfterItsResult) {
    options.deferred_stop = kLong;
    make();
    EXPECT_TRUE(run().ok());
    EXPECT_TRUE(launcher->stops().empty());
    // It ends by itself.
    launcher->becomes(RunStatus::success);
    EXPECT_TRUE(launcher->wait_until([this] { return !launcher->stops().empty(); }));
    EXPECT_THAT(launcher->stops(), ElementsAre("train finished"));
}

TEST_F(L12_LauncherExecutor, ADeferredStopIsBounded) {
    options.deferred_stop = milliseconds(50);
    make();
    EXPECT_TRUE(run().ok());
    EXPECT_TRUE(launcher->wait_until([this] { return !launcher->stops().empty(); }));
    EXPECT_THAT(launcher->stops(), ElementsAre("train finished"));
}

TEST_F(L12_LauncherExecutor, TheNextTaskWaitsForADeferredStopAndForcesItUnderThePreviousName) {
    options.deferred_stop = milliseconds(150);
    make();
    EXPECT_TRUE(run("train").ok());
    EXPECT_TRUE(launcher->stops().empty());
    Shareable metrics;
    metrics.body["accuracy"] = 0.5;
    EXPECT_TRUE(run("validate", metrics).ok());
    ASSERT_FALSE(launcher->stops().empty());
    EXPECT_EQ(launcher->stops().front(), "train finished");
    EXPECT_EQ(launcher->launches, 2);
}

TEST_F(L12_LauncherExecutor, AnAbortAndTheEndOfTheRunEndADeferredStop) {
    options.deferred_stop = kLong;
    make();
    EXPECT_TRUE(run().ok());
    abort_.trigger("the run is aborted");
    EXPECT_TRUE(launcher->wait_until([this] { return !launcher->stops().empty(); }));
    EXPECT_THAT(launcher->stops(), ElementsAre("train given up"));
    abort_ = Signal();
    EXPECT_TRUE(run().ok());
    fire(event::kAboutToEndRun);
    fire(event::kEndRun);
    EXPECT_THAT(launcher->stops(), ElementsAre("train given up", "train given up"));
    EXPECT_EQ(launcher->finalised, 1);
}

// ---- L13: results ------------------------------------------------------------------------------

class L13_LauncherExecutor : public Executor {};

TEST_F(L13_LauncherExecutor, AResultThatIsNotOkStopsTheTask) {
    launcher->program = [](agent::Agent& agent) {
        (void)agent.get_task(kLong);
        (void)agent.submit_result(Shareable::failed(ReturnCode::task_unknown, "not here"));
        while (agent.is_running()) std::this_thread::sleep_for(milliseconds(5));
    };
    make();
    const auto result = run();
    EXPECT_EQ(result.code, ReturnCode::execution_exception);
    EXPECT_THAT(result.failure->message, AllOf(HasSubstr("task_unknown"), HasSubstr("not here")));
    EXPECT_THAT(launcher->stops(), ElementsAre("train given up"));
}

TEST_F(L13_LauncherExecutor, OnlyConfiguredTasksAreTaken) {
    options.validate_task = "";
    options.other_tasks = {"embed"};
    make();
    EXPECT_EQ(run("validate").code, ReturnCode::task_unknown);
    const auto unknown = run("predict");
    EXPECT_EQ(unknown.code, ReturnCode::task_unknown);
    EXPECT_THAT(unknown.failure->message, HasSubstr("train, submit_model, embed"));
    EXPECT_EQ(launcher->launches, 0);
    EXPECT_TRUE(run("embed").ok());
}

TEST_F(L13_LauncherExecutor, ResultsLackWhatTheirTaskIsAbout) {
    make();
    EXPECT_TRUE(run("train").ok());
    EXPECT_THAT(run("validate").failure->message, HasSubstr("no metrics"));
    Shareable text;
    text.body["accuracy"] = "good";
    EXPECT_EQ(run("validate", text).code, ReturnCode::execution_exception);
    Shareable metrics;
    metrics.body["accuracy"] = 0.5;
    EXPECT_TRUE(run("validate", metrics).ok());
    EXPECT_THAT(run("submit_model", metrics).failure->message, HasSubstr("no model"));
    Shareable model;
    model.tensors.emplace("w", Tensor::copy_of<float>(std::vector{1.0F}, {1}));
    EXPECT_TRUE(run("submit_model", model).ok());
}

TEST_F(L13_LauncherExecutor, TrainingWithEvaluationNeedsMetricsToo) {
    options.train_with_evaluation = true;
    options.metric = "accuracy";
    make();
    Shareable metrics;
    metrics.body["loss"] = 0.5;
    const auto result = run("train", metrics);
    EXPECT_EQ(result.code, ReturnCode::execution_exception);
    EXPECT_THAT(result.failure->message, HasSubstr("\"accuracy\""));
    metrics.headers["accuracy"] = 0.9;
    EXPECT_TRUE(run("train", metrics).ok());
}

// ---- L14: the monitor --------------------------------------------------------------------------

class L14_LauncherExecutor : public Executor {
protected:
    /// A task that is being executed.
    std::future<Shareable> executing() {
        launcher->program = [this](agent::Agent& agent) {
            (void)agent.get_task(kLong);
            taken_.set_value();
            while (agent.is_running()) std::this_thread::sleep_for(milliseconds(5));
        };
        make();
        auto reply = start();
        taken_.get_future().wait();
        return reply;
    }

private:
    std::promise<void> taken_;
};

TEST_F(L14_LauncherExecutor, AProgramThatFailsAbortsItsTaskAtOnce) {
    auto reply = executing();
    launcher->becomes(RunStatus::failed);
    const auto result = reply.get();
    EXPECT_EQ(result.code, ReturnCode::execution_exception);
    EXPECT_THAT(result.failure->message, HasSubstr("has failed before its result"));
}

TEST_F(L14_LauncherExecutor, ALauncherThatTellsIsNotAskedInBetween) {
    launcher->tells = true;
    options.monitor_interval = milliseconds(1);
    auto reply = executing();
    const int before = launcher->checks;
    std::this_thread::sleep_for(kShort);
    EXPECT_LE(launcher->checks, before + 2);
    launcher->becomes(RunStatus::failed);
    EXPECT_EQ(reply.get().code, ReturnCode::execution_exception);
}

TEST_F(L14_LauncherExecutor, ALauncherThatDoesNotTellIsAskedFromTimeToTime) {
    options.monitor_interval = milliseconds(1);
    auto reply = executing();
    EXPECT_TRUE(launcher->wait_until([this] { return launcher->checks > 20; }));
    launcher->status = RunStatus::failed;
    EXPECT_EQ(reply.get().code, ReturnCode::execution_exception);
}

TEST_F(L14_LauncherExecutor, AfterAGoodEndTheLastResultHasItsTime) {
    options.last_result_transfer = kLong;
    std::promise<void> taken;
    Signal send;
    launcher->program = [&](agent::Agent& agent) {
        const auto task = agent.get_task(kLong);
        taken.set_value();
        EXPECT_TRUE(send.wait_for(kLong));
        (void)agent.submit_result((*task)->input);
    };
    make();
    auto reply = start();
    taken.get_future().wait();
    launcher->becomes(RunStatus::success);
    const int before = launcher->checks;
    EXPECT_TRUE(launcher->wait_until([&] { return launcher->checks > before + 1; }));
    send.trigger("now");
    EXPECT_TRUE(reply.get().ok());
    launcher->end_program();  // it uses what is here
}

TEST_F(L14_LauncherExecutor, AfterAGoodEndTheLastResultHasNoMoreThanItsTime) {
    options.last_result_transfer = milliseconds(80);
    auto reply = executing();
    launcher->becomes(RunStatus::success);
    const auto result = reply.get();
    EXPECT_EQ(result.code, ReturnCode::execution_exception);
    EXPECT_THAT(result.failure->message, HasSubstr("80 ms (last_result_transfer)"));
}

TEST_F(L14_LauncherExecutor, TheSilenceOfAProgramThatHasEndedWellMeansNothing) {
    options.last_result_transfer = milliseconds(4'000);
    options.exchange.heartbeat_interval = milliseconds(20);
    options.exchange.peer_gone_after = milliseconds(3'000);
    launcher->heartbeats = milliseconds(5'000);
    auto reply = executing();
    launcher->becomes(RunStatus::success);
    EXPECT_THAT(reply.get().failure->message, HasSubstr("last_result_transfer"));
}

TEST_F(L14_LauncherExecutor, AStatusCheckThatThrowsAbortsTheTask) {
    std::atomic<bool> throws = false;
    launcher->on_check = [&]() -> RunStatus {
        if (throws) throw std::runtime_error("no answer");
        return RunStatus::running;
    };
    auto reply = executing();
    throws = true;
    const auto result = reply.get();
    EXPECT_EQ(result.code, ReturnCode::execution_exception);
    EXPECT_THAT(result.failure->message, HasSubstr("no answer"));
}

TEST_F(L14_LauncherExecutor, AStatusCheckThatHangsAbortsTheTask) {
    options.status_timeout = milliseconds(50);
    std::atomic<bool> hangs = false;
    launcher->on_check = [&, released = released_]() -> RunStatus {
        if (hangs) released.wait();
        return RunStatus::running;
    };
    auto reply = executing();
    hangs = true;
    const auto result = reply.get();
    EXPECT_EQ(result.code, ReturnCode::execution_exception);
    EXPECT_THAT(result.failure->message, HasSubstr("50 ms (status_timeout)"));
    hangs = false;
}

TEST_F(L14_LauncherExecutor, NothingIsAbortedWhileAStopIsDeferred) {
    options.deferred_stop = kLong;
    make();
    EXPECT_TRUE(run().ok());
    launcher->becomes(RunStatus::failed);
    EXPECT_TRUE(launcher->wait_until([this] { return !launcher->stops().empty(); }));
    EXPECT_TRUE(run().ok());
}

// ---- L15: the end of the run -------------------------------------------------------------------

class L15_LauncherExecutor : public L14_LauncherExecutor {};

TEST_F(L15_LauncherExecutor, TheEndOfTheRunAbortsTheTaskAndFinalisesTheLauncher) {
    auto reply = executing();
    fire(event::kEndRun);
    EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
    EXPECT_EQ(launcher->finalised, 1);
    EXPECT_THAT(launcher->stops(), ElementsAre("train given up"));
    EXPECT_EQ(run().code, ReturnCode::not_ready);
    fire(event::kEndRun);
    EXPECT_EQ(launcher->finalised, 1);
}

TEST_F(L15_LauncherExecutor, TheProgramHearsOfTheEndBefore) {
    launcher->stops_after_task = false;
    make();
    EXPECT_TRUE(run().ok());
    fire(event::kAboutToEndRun);
    launcher->end_program();  // it returns because its agent is closed
    EXPECT_EQ(launcher->finalised, 0);
    fire(event::kEndRun);
    EXPECT_EQ(launcher->finalised, 1);
}

TEST_F(L15_LauncherExecutor, AnotherRunMayFollow) {
    make();
    EXPECT_TRUE(run().ok());
    for (int again = 0; again < 3; ++again) {
        fire(event::kAboutToEndRun);
        fire(event::kEndRun);
        fire(event::kStartRun);
        EXPECT_TRUE(run().ok());
    }
    EXPECT_EQ(launcher->finalised, 3);
}

TEST_F(L15_LauncherExecutor, TheEndOfTheRunEndsATaskThatWaitsForADeferredStop) {
    options.deferred_stop = kLong * 1000;
    make();
    EXPECT_TRUE(run().ok());
    auto waiting = start();
    std::this_thread::sleep_for(kShort);  // it waits; if it does not yet, the reply is the same or says not_ready
    executor().finalise();
    EXPECT_THAT(waiting.get().code, testing::AnyOf(ReturnCode::task_aborted, ReturnCode::not_ready));
    EXPECT_EQ(launcher->finalised, 1);
}

TEST_F(L15_LauncherExecutor, AHandlerOfALogMayEndTheRun) {
    struct Listener : Component {
        explicit Listener(std::function<void()> action) : act(std::move(action)) {}
        void handle_event(const std::string& type, Context&) override {
            if (type == "metric") act();
        }
        std::function<void()> act;
    };
    launcher->program = [](agent::Agent& agent) {
        (void)agent.get_task(kLong);
        Value::Map figures;
        figures["loss"] = 0.5;
        (void)agent.log(figures);
        while (agent.is_running()) std::this_thread::sleep_for(milliseconds(5));
    };
    make();
    std::atomic<bool> nested_refused = false;
    engine().add("listener", std::make_unique<Listener>([&] {
                     Context context;
                     nested_refused = executor().execute("train", {}, context, {}).code == ReturnCode::bad_request_data;
                     executor().finalise();
                 }));
    EXPECT_EQ(run().code, ReturnCode::task_aborted);
    EXPECT_TRUE(nested_refused);
    executor().finalise();
    EXPECT_EQ(launcher->finalised, 1);
}

TEST_F(L15_LauncherExecutor, ALauncherThatHangsDoesNotHoldUpTheEnd) {
    options.stop_timeout = milliseconds(50);
    launcher->on_stop = [released = released_] { released.wait(); };
    make();
    EXPECT_TRUE(run().ok());
    fire(event::kEndRun);
    EXPECT_EQ(launcher->finalised, 1);
}

}  // namespace
}  // namespace rankexec::test
