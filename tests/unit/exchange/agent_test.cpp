// SPDX-License-Identifier: Apache-2.0
// The agent of an attached program, with an exchanger that says what the test wants.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ends.hpp"

namespace rankexec::test {
namespace {

using namespace exchange;  // NOLINT: its messages
using agent::AttachedAgent;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

class Attached : public Exchange {
protected:
    void SetUp() override {
        agent = attach();
        exchanger_end = raw_exchanger();
        exchanger_end->wait_until_up();
    }
    RawEnd& peer() { return *exchanger_end; }
    TaskAnswer give(const GiveTask& task) {
        (void)peer().send(task);
        return peer().get<TaskAnswer>();
    }
    agent::Task get() {
        auto task = agent->get_task(kLong);
        EXPECT_TRUE(task) << task.error().message;
        EXPECT_TRUE(task && *task);
        return task && *task ? std::move(**task) : agent::Task{};
    }
    bool gets_nothing() {
        const auto task = agent->get_task(kShort);
        return task && !*task;
    }
    std::future<tl::expected<void, agent::AgentError>> submit(Shareable result) {
        return std::async(std::launch::async,
                          [this, result = std::move(result)] { return agent->submit_result(result); });
    }
    /// Takes the next result, which has to be that one.
    void take(const TaskRef& ref, int number) {
        const auto come = peer().expect<GiveResult>();
        const auto& result = std::get<GiveResult>(come.message);
        EXPECT_EQ(result.ref, ref);
        EXPECT_EQ(result.result.body.integer_or(-1), number);
        (void)peer().send(ResultAnswer{ref, true, ""}, come.id);
    }

    std::unique_ptr<AttachedAgent> agent;
    std::unique_ptr<RawEnd> exchanger_end;
};

class I3_Agent : public Attached {};

TEST_F(I3_Agent, SendsNoHeartbeatsAndAnswersThem) {
    EXPECT_FALSE(peer().gets<Heartbeat>());
    const auto id = peer().send(Heartbeat{});
    const auto answer = peer().expect<HeartbeatAnswer>();
    EXPECT_EQ(answer.request_id, id);
    EXPECT_TRUE(std::get<HeartbeatAnswer>(answer.message).holds.empty());
}

TEST_F(I3_Agent, SaysWhatItHolds) {
    const auto task = task_of("train", 'a');
    EXPECT_TRUE(give(task).accepted);
    (void)peer().send(Heartbeat{});
    EXPECT_EQ(peer().get<HeartbeatAnswer>(), holding(task.ref, false));
    (void)get();
    EXPECT_EQ(peer().get<TaskFetched>().ref, task.ref);
    (void)peer().send(Heartbeat{});
    EXPECT_EQ(peer().get<HeartbeatAnswer>(), holding(task.ref, true));
}

TEST_F(I3_Agent, AdoptsAnotherExchangerAndAbortsWhatTheFirstOneGave) {
    EXPECT_TRUE(give(task_of("first", 'a')).accepted);
    const auto first = get();
    exchanger_end.reset();
    exchanger_end = raw_exchanger();
    peer().wait_until_up();
    EXPECT_TRUE(first.abort.wait_for(kLong));
    EXPECT_THAT(first.abort.reason(), HasSubstr("another one has come"));
    const auto second = task_of("second", 'b');
    EXPECT_TRUE(give(second).accepted);
    EXPECT_EQ(kind_of(agent->submit_result(with(1))), "refused");
    EXPECT_EQ(get().name, "second");
    auto submitted = submit(with(2));
    take(second.ref, 2);
    EXPECT_EQ(kind_of(submitted.get()), "");
}

TEST_F(I3_Agent, SendsAResultAgainUntilItIsAnswered) {
    const auto task = task_of("train", 'a');
    EXPECT_TRUE(give(task).accepted);
    const auto got = get();
    auto submitted = submit(with(1));
    const auto first = peer().expect<GiveResult>();
    const auto second = peer().expect<GiveResult>();  // not answered: sent again
    EXPECT_EQ(first.id, second.id);
    (void)peer().send(ResultAnswer{task.ref, true, ""}, second.id);
    EXPECT_EQ(kind_of(submitted.get()), "");
    EXPECT_FALSE(got.abort.triggered());
}

TEST_F(I3_Agent, ASecondExchangerWaitsUntilTheFirstHasGone) {
    const auto second = raw_exchanger();
    EXPECT_FALSE(second->gets<Bye>());
    EXPECT_FALSE(second->up());
    exchanger_end.reset();
    second->wait_until_up();
    const auto id = second->send(Heartbeat{});
    EXPECT_EQ(second->expect<HeartbeatAnswer>().request_id, id) << "after the first one's bye it is heard at once";
}

class I7_Agent : public Attached {};

TEST_F(I7_Agent, TheSameTaskAgainIsAccepted) {
    const auto task = task_of("train", 'a');
    EXPECT_TRUE(give(task).accepted);
    EXPECT_TRUE(give(task).accepted) << "while it waits";
    EXPECT_EQ(get().name, "train");
    EXPECT_TRUE(give(task).accepted) << "while it is open";
    auto submitted = submit(with(1));
    take(task.ref, 1);
    EXPECT_EQ(kind_of(submitted.get()), "");
    EXPECT_TRUE(gets_nothing()) << "it was one task";
    EXPECT_FALSE(give(task).accepted) << "and is over";
}

TEST_F(I7_Agent, ANewTaskReplacesOneThatWaits) {
    EXPECT_TRUE(give(task_of("first", 'a')).accepted);
    EXPECT_TRUE(give(task_of("second", 'b')).accepted);
    EXPECT_EQ(get().name, "second");
}

TEST_F(I7_Agent, ANewTaskAbortsTheOpenOneAndIsDeliveredAfterIt) {
    EXPECT_TRUE(give(task_of("first", 'a')).accepted);
    const auto first = get();
    const auto task = task_of("second", 'b');
    EXPECT_TRUE(give(task).accepted);
    EXPECT_TRUE(first.abort.wait_for(kLong));
    EXPECT_EQ(kind_of(agent->get_task(kShort)), "call state") << "not before the first is submitted";
    EXPECT_EQ(kind_of(agent->submit_result(with(1))), "refused");
    const auto second = get();
    EXPECT_EQ(second.name, "second");
    EXPECT_FALSE(second.abort.triggered());
    auto submitted = submit(with(2));
    take(task.ref, 2);
    EXPECT_EQ(kind_of(submitted.get()), "");
}

TEST_F(I7_Agent, ANewTaskMayOvertakeTheAnswerToAResult) {
    const auto first = task_of("first", 'a');
    EXPECT_TRUE(give(first).accepted);
    const auto task = get();
    auto submitted = submit(with(1));
    const auto result = peer().expect<GiveResult>();
    EXPECT_TRUE(give(task_of("second", 'b')).accepted);
    EXPECT_FALSE(task.abort.triggered());
    (void)peer().send(ResultAnswer{first.ref, true, {}}, result.id);
    EXPECT_EQ(kind_of(submitted.get()), "");
    EXPECT_EQ(get().name, "second");
}

TEST_F(I7_Agent, ATaskAbortedBeforeItWasFetchedDoesNotBlockTheNext) {
    const auto first = task_of("first", 'a');
    EXPECT_TRUE(give(first).accepted);
    (void)peer().send(AbortTask{first.ref, "enough"});
    EXPECT_EQ(peer().get<AbortAnswer>().ref, first.ref);
    EXPECT_TRUE(gets_nothing());
    EXPECT_TRUE(give(task_of("second", 'b')).accepted);
    EXPECT_EQ(get().name, "second");
}

TEST_F(I7_Agent, AnAbortMayOvertakeItsTask) {
    const auto task = task_of("first", 'a');
    (void)peer().send(AbortTask{task.ref, "enough"});
    EXPECT_EQ(peer().get<AbortAnswer>().ref, task.ref);  // what comes on another channel may come before it
    EXPECT_FALSE(give(task).accepted);
    EXPECT_TRUE(give(task_of("first", 'a', 2)).accepted) << "another attempt was not aborted";
}

TEST_F(I7_Agent, AnAbortOfAnotherTaskMeansNothing) {
    EXPECT_TRUE(give(task_of("first", 'a')).accepted);
    const auto first = get();
    (void)peer().send(AbortTask{{std::string(32, 'b'), 1}, "enough"});
    (void)peer().expect<AbortAnswer>();
    (void)peer().send(AbortTask{{std::string(32, 'a'), 2}, "enough"});
    (void)peer().expect<AbortAnswer>();
    EXPECT_FALSE(first.abort.triggered());
}

TEST_F(I7_Agent, AnAbortWhileItIsSubmittedEndsTheSubmission) {
    const auto task = task_of("first", 'a');
    EXPECT_TRUE(give(task).accepted);
    const auto got = get();
    auto submitted = submit(with(1));
    (void)peer().expect<GiveResult>();
    (void)peer().send(AbortTask{task.ref, "enough"});
    const auto refused = submitted.get();
    EXPECT_EQ(kind_of(refused), "refused");
    EXPECT_THAT(refused.error().message, HasSubstr("enough"));
    EXPECT_TRUE(gets_nothing());
}

// The answer was lost with a connection, and the next task has come: that this result was taken is still to be heard.
TEST_F(I7_Agent, AResultThatWasTakenIsSaidToBeWhateverComesNext) {
    const auto first = task_of("first", 'a');
    EXPECT_TRUE(give(first).accepted);
    (void)get();
    auto submitted = submit(with(1));
    const auto come = peer().expect<GiveResult>();
    EXPECT_TRUE(give(task_of("second", 'b')).accepted);
    (void)peer().send(Heartbeat{});
    EXPECT_EQ(peer().get<HeartbeatAnswer>().holds.size(), 2U) << "it asks";
    (void)peer().send(ResultAnswer{first.ref, true, ""}, come.id);
    EXPECT_EQ(kind_of(submitted.get()), "");
    EXPECT_EQ(get().name, "second");
}

TEST_F(I7_Agent, WhoListensToTheAbortMayCallTheAgent) {
    EXPECT_TRUE(give(task_of("first", 'a')).accepted);
    const auto got = get();
    std::promise<bool> called;
    const auto subscription = got.abort.on_trigger([&](const std::string&) {
        EXPECT_TRUE(agent->is_running());
        EXPECT_EQ(kind_of(agent->get_task(kLong)), "call state");
        EXPECT_EQ(kind_of(agent->submit_result({})), "call state");
        EXPECT_EQ(kind_of(agent->log({{"x", 1}}, "metric")), "call state");
        agent->close();
        called.set_value(true);
    });
    (void)peer().send(AbortTask{{std::string(32, 'a'), 1}, "enough"});
    EXPECT_TRUE(called.get_future().get());
    EXPECT_EQ(kind_of(agent->get_task(kLong)), "closed");
}

class I8_Agent : public Attached {};

TEST_F(I8_Agent, ATimeOutHasToBeAboveZero) {
    EXPECT_EQ(kind_of(agent->get_task(milliseconds(0))), "configuration");
    EXPECT_EQ(kind_of(agent->get_task(milliseconds(-5))), "configuration");
}

TEST_F(I8_Agent, NothingInTimeIsNothing) { EXPECT_TRUE(gets_nothing()); }

TEST_F(I8_Agent, ATaskIsWhatTheExchangerHasGiven) {
    auto task = task_of("train", 'a', 3);
    task.round = 2;
    task.rounds = 9;
    task.input.body = "input";
    EXPECT_TRUE(give(task).accepted);
    const auto got = get();
    EXPECT_EQ(got.name, "train");
    EXPECT_EQ(got.id, task.ref.task);
    EXPECT_EQ(got.round, 2);
    EXPECT_EQ(got.rounds, 9);
    EXPECT_EQ(got.input, task.input);
    auto submitted = submit(with(1));
    take(task.ref, 1);
    EXPECT_EQ(kind_of(submitted.get()), "");
}

TEST_F(I8_Agent, AnOpenTaskHasToBeSubmittedFirst) {
    EXPECT_TRUE(give(task_of("train", 'a')).accepted);
    (void)get();
    EXPECT_EQ(kind_of(agent->get_task(kShort)), "call state");
}

TEST_F(I8_Agent, AClosedAgentSaysSo) {
    auto waiting = std::async(std::launch::async, [this] { return agent->get_task(kLong); });
    agent->close();
    EXPECT_EQ(kind_of(waiting.get()), "closed");
    EXPECT_EQ(kind_of(agent->get_task(kShort)), "closed");
    EXPECT_EQ(kind_of(agent->submit_result(with(1))), "closed");
    EXPECT_EQ(kind_of(agent->log({{"x", 1}}, "metric")), "closed");
    EXPECT_FALSE(agent->is_running());
    EXPECT_TRUE(agent->closed().triggered());
}

TEST_F(I8_Agent, StartAfterStopAndTwiceAreCallStateErrors) {
    EXPECT_EQ(kind_of(agent->start()), "call state");
    agent->close();
    EXPECT_EQ(kind_of(agent->start()), "call state");
    EXPECT_NE(attach(), nullptr) << "a new one may take its place";
}

TEST_F(I8_Agent, ASecondAgentOfThatNameIsRefused) {
    const auto second = agent::attach(agent_options());
    ASSERT_FALSE(second);
    EXPECT_EQ(kind_of(second.error()), "connection");
    EXPECT_THAT(second.error().message, HasSubstr("runs already"));
}

TEST_F(I8_Agent, BeforeItsFirstSubmissionItMaySubmitWithoutATask) {
    auto submitted = submit(with(7));
    const auto come = peer().expect<GiveResult>();
    EXPECT_FALSE(std::get<GiveResult>(come.message).ref);
    (void)peer().send(ResultAnswer{{}, true, ""}, come.id);
    EXPECT_EQ(kind_of(submitted.get()), "");
    EXPECT_EQ(kind_of(agent->submit_result(with(8))), "call state") << "once";
}

TEST_F(I8_Agent, AndMayNameTheTaskThatItHadBefore) {
    auto result = with(7);
    result.headers["task_id"] = std::string(32, 'a');
    auto submitted = submit(result);
    const auto come = peer().expect<GiveResult>();
    EXPECT_EQ(std::get<GiveResult>(come.message).ref, (TaskRef{std::string(32, 'a'), 0}));
    (void)peer().send(ResultAnswer{TaskRef{std::string(32, 'a'), 2}, true, ""}, come.id);
    EXPECT_EQ(kind_of(submitted.get()), "");
    EXPECT_FALSE(give(task_of("train", 'a', 2)).accepted) << "which is not done again";
    EXPECT_TRUE(give(task_of("train", 'b')).accepted);
    (void)get();
    auto bad = with(7);
    bad.headers["data_kind"] = 3;
    EXPECT_EQ(kind_of(agent->submit_result(bad)), "configuration") << "a mistake leaves the task open";
    EXPECT_EQ(kind_of(agent->get_task(kShort)), "call state");
}

TEST_F(I8_Agent, ATaskThatIsFetchedWhileAnEarlyResultIsSubmittedStaysOpen) {
    auto submitted = submit(with(7));
    const auto come = peer().expect<GiveResult>();
    const auto task = task_of("train", 'a');
    EXPECT_TRUE(give(task).accepted);
    EXPECT_EQ(get().name, "train");
    (void)peer().send(ResultAnswer{{}, true, ""}, come.id);
    EXPECT_EQ(kind_of(submitted.get()), "");
    auto second = submit(with(1));
    take(task.ref, 1);
    EXPECT_EQ(kind_of(second.get()), "");
}

TEST_F(I8_Agent, AfterAFetchedTaskItMayNot) {
    EXPECT_TRUE(give(task_of("train", 'a')).accepted);
    (void)get();
    auto submitted = submit(with(1));
    take({std::string(32, 'a'), 1}, 1);
    EXPECT_EQ(kind_of(submitted.get()), "");
    EXPECT_EQ(kind_of(agent->submit_result(with(2))), "call state") << "one result per task";
}

TEST_F(I8_Agent, ARefusedResultEndsTheTask) {
    EXPECT_TRUE(give(task_of("train", 'a')).accepted);
    (void)get();
    auto submitted = submit(with(1));
    const auto come = peer().expect<GiveResult>();
    (void)peer().send(ResultAnswer{{}, false, "another task is open"}, come.id);
    const auto refused = submitted.get();
    EXPECT_EQ(kind_of(refused), "refused");
    EXPECT_THAT(refused.error().message, HasSubstr("another task is open"));
    EXPECT_TRUE(gets_nothing());
}

class I8_ImpatientAgent : public Attached {
protected:
    void SetUp() override {
        auto options = agent_options();
        options.submit_timeout = milliseconds(50);
        options.log_timeout = milliseconds(50);
        agent = std::make_unique<AttachedAgent>(options);
        ASSERT_TRUE(agent->start());
        exchanger_end = raw_exchanger();
        exchanger_end->wait_until_up();
        EXPECT_TRUE(give(task_of("train", 'a')).accepted);
        (void)get();
    }
};

TEST_F(I8_ImpatientAgent, AResultThatWasNotTakenMayBeSubmittedAgain) {
    EXPECT_EQ(kind_of(agent->submit_result(with(1))), "not delivered");
    EXPECT_EQ(kind_of(agent->get_task(kShort)), "call state") << "the task is still open";
    const auto first = peer().expect<GiveResult>();
    (void)peer().send(Heartbeat{});
    EXPECT_EQ(peer().get<HeartbeatAnswer>(), holding({std::string(32, 'a'), 1}, true));
    // With the patience of 50 ms, now.
    const auto deadline = std::chrono::steady_clock::now() + kLong;
    auto again = submit(with(2));
    auto second = peer().expect<GiveResult>();
    while (second.id == first.id) second = peer().expect<GiveResult>();
    (void)peer().send(ResultAnswer{TaskRef{std::string(32, 'a'), 1}, true, ""}, second.id);
    if (!again.get()) {
        // The machine was slow; the answer counts all the same.
        auto done = agent->submit_result(with(2));
        while (!done && std::chrono::steady_clock::now() < deadline) done = agent->submit_result(with(2));
        EXPECT_EQ(kind_of(done), "");
    }
    EXPECT_TRUE(gets_nothing());
}

TEST_F(I8_ImpatientAgent, AfterATaskThatDisplacedItOnlyTheExchangerKnowsWhetherItWasTaken) {
    EXPECT_EQ(kind_of(agent->submit_result(with(1))), "not delivered");
    EXPECT_TRUE(give(task_of("second", 'b')).accepted);
    auto again = submit(with(1));
    const auto come = peer().expect<GiveResult>();
    (void)peer().send(ResultAnswer{TaskRef{std::string(32, 'a'), 1}, true, ""}, come.id);
    auto done = again.get();
    if (!done) done = agent->submit_result(with(1));  // the machine was slow; the answer counts all the same
    EXPECT_EQ(kind_of(done), "");
    EXPECT_EQ(get().name, "second");
}

TEST_F(I8_ImpatientAgent, AnAnswerThatComesLateCounts) {
    auto first = submit(with(1));
    const auto come = peer().expect<GiveResult>();
    EXPECT_EQ(kind_of(first.get()), "not delivered");
    (void)peer().send(ResultAnswer{TaskRef{std::string(32, 'a'), 1}, true, ""}, come.id);
    (void)peer().send(Heartbeat{});
    EXPECT_TRUE(peer().get<HeartbeatAnswer>().holds.empty());
    EXPECT_EQ(kind_of(agent->submit_result(with(1))), "") << "and need not be sent again";
    EXPECT_TRUE(gets_nothing());
}

TEST_F(I8_ImpatientAgent, ALogThatNobodyTakesIsNotDelivered) {
    EXPECT_EQ(kind_of(agent->log({{"loss", 0.5}}, "metric")), "not delivered");
}

class I9_Agent : public Attached {};

TEST_F(I9_Agent, IsDoneAfterTheBye) {
    EXPECT_TRUE(give(task_of("train", 'a')).accepted);
    const auto task = get();
    const auto id = peer().send(Bye{"the run has ended"});
    EXPECT_EQ(peer().expect<ByeAnswer>().request_id, id);
    EXPECT_TRUE(agent->closed().wait_for(kLong));
    EXPECT_FALSE(agent->is_running());
    EXPECT_TRUE(task.abort.triggered());
    const auto closed = agent->get_task(kShort);
    EXPECT_EQ(kind_of(closed), "closed");
    EXPECT_THAT(closed.error().message, HasSubstr("the run has ended"));
    EXPECT_NE(attach(), nullptr) << "and the next may be attached while this one is still there";
}

class I1_Agent : public Exchange {};

TEST_F(I1_Agent, ClosesWhenNobodyComes) {
    auto options = agent_options();
    options.connection_timeout = milliseconds(50);
    AttachedAgent agent(options);
    ASSERT_TRUE(agent.start());
    const auto closed = agent.get_task(kLong);
    EXPECT_EQ(kind_of(closed), "closed");
    EXPECT_THAT(closed.error().message, HasSubstr("no executor has come within 50 ms"));
}

TEST_F(I1_Agent, StaysWhenSomebodyHasComeOnce) {
    auto options = agent_options();
    options.connection_timeout = milliseconds(200);
    AttachedAgent agent(options);
    ASSERT_TRUE(agent.start());
    auto peer = raw_exchanger();
    peer->wait_until_up();
    peer.reset();
    const auto task = agent.get_task(milliseconds(400));
    EXPECT_EQ(kind_of(task), "");
}

class Better_Agent : public Attached {};

TEST_F(Better_Agent, AnExchangerWithAnotherKeyIsNone) {
    exchanger_end.reset();
    auto wrong = place();
    wrong.key = Secret::random();
    RawEnd impostor(RawEnd::Side::exchanger, wrong);
    EXPECT_THAT(impostor.refusal(), HasSubstr("credentials"));
    EXPECT_FALSE(impostor.up());
}

TEST_F(Better_Agent, OverTcpTheKeysOfBothSidesCount) {
    agent->close();
    for (const int port : {29'411, 30'517, 31'601}) {
        auto options = agent_options();
        options.listen = "127.0.0.1:" + std::to_string(port);
        AttachedAgent remote(options);
        if (!remote.start()) continue;  // somebody else's port
        const TcpAddress tcp{"127.0.0.1", port};
        RawEnd friendly(RawEnd::Side::exchanger, place(), tcp);
        friendly.wait_until_up();
        auto wrong = place();
        wrong.key = Secret::random();
        RawEnd impostor(RawEnd::Side::exchanger, wrong, tcp);
        EXPECT_THAT(impostor.why_down("key"), HasSubstr("has another key"));
        EXPECT_FALSE(impostor.up());
        (void)friendly.send(Heartbeat{});
        (void)friendly.expect<HeartbeatAnswer>();
        return;
    }
    FAIL() << "no port is free";
}

TEST_F(Better_Agent, EmptyDataIsAResult) {
    EXPECT_TRUE(give(task_of("train", 'a')).accepted);
    EXPECT_EQ(get().input, Shareable());
    auto submitted = submit({});
    const auto come = peer().expect<GiveResult>();
    EXPECT_EQ(std::get<GiveResult>(come.message).result, Shareable());
    (void)peer().send(ResultAnswer{TaskRef{std::string(32, 'a'), 1}, true, ""}, come.id);
    EXPECT_EQ(kind_of(submitted.get()), "");
}

TEST_F(Better_Agent, LogsAreTakenOnce) {
    auto logged = std::async(std::launch::async, [this] { return agent->log({{"loss", 0.5}}, "progress"); });
    const auto come = peer().expect<ProgramLog>();
    EXPECT_EQ(std::get<ProgramLog>(come.message), (ProgramLog{"progress", {{"loss", 0.5}}}));
    (void)peer().send(LogAnswer{}, come.id);
    EXPECT_EQ(kind_of(logged.get()), "");
    EXPECT_EQ(kind_of(agent->log({}, "")), "configuration");
}

}  // namespace
}  // namespace rankexec::test
