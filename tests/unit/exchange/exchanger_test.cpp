// SPDX-License-Identifier: Apache-2.0
// The exchanger, with an agent that says what the test wants.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "ends.hpp"
#include "rankexec/core/model/event_type.hpp"

namespace rankexec::test {
namespace {

using namespace exchange;  // NOLINT: its messages
using std::chrono::milliseconds;
using ::testing::HasSubstr;

class I2_AgentId : public Exchange {
protected:
    /// What start_run with that property as the job's metadata gives: the agent's name, or the reason of a panic.
    std::string started_with(std::optional<Value> meta, const std::string& id_option = {}) {
        auto options = exchanger_options();
        options.site.clear();
        options.agent_id = id_option;
        recorder = &dynamic_cast<Recorder&>(engine->add("recorder", std::make_unique<Recorder>()));
        exchanger = &dynamic_cast<IpcExchanger&>(engine->add("ipc", std::make_unique<IpcExchanger>(options)));
        auto context = engine->new_context();
        context.set("site_name", "here");
        if (meta) context.set("job_meta", *meta);
        engine->fire_event("start_run", context);
        if (recorder->count("system_panic") == 0) return exchanger->report().agent;
        return recorder->expect("system_panic").context.text_or("panic_reason", "");
    }
    static Value meta_with(Value id) {
        Value meta;
        meta["agent_id"] = std::move(id);
        return meta;
    }
};

TEST_F(I2_AgentId, ComesFromTheConstructor) { EXPECT_EQ(started_with(meta_with("other"), "mine"), "here/mine"); }
TEST_F(I2_AgentId, OrFromTheJobsMetadata) { EXPECT_EQ(started_with(meta_with("other")), "here/other"); }
TEST_F(I2_AgentId, MissingIsAPanic) { EXPECT_THAT(started_with({}), HasSubstr("no agent is named")); }
TEST_F(I2_AgentId, MissingInTheMetadataIsAPanic) {
    EXPECT_THAT(started_with(Value(Value::Map{{"x", 1}})), HasSubstr("no agent is named"));
}
TEST_F(I2_AgentId, NotTextIsAPanic) { EXPECT_THAT(started_with(meta_with(7)), HasSubstr("integer, not text")); }
TEST_F(I2_AgentId, NoNameIsAPanic) { EXPECT_THAT(started_with(meta_with("")), HasSubstr("id is empty")); }

class I3_Exchanger : public Exchange {};

TEST_F(I3_Exchanger, SendsHeartbeatsForAsLongAsTheRunLasts) {
    begin();
    const auto agent = raw_agent();
    for (int count = 0; count < 10; ++count) (void)agent->expect<Heartbeat>();
    exchanger->finalise();
    while (agent->gets<Heartbeat>()) {
    }
    SUCCEED() << "they ended";
}

TEST_F(I3_Exchanger, SilenceIsADisconnectionThatTheJobSurvives) {
    auto options = exchanger_options();
    options.disconnected_after = milliseconds(300);  // a busy host is silent for less, and must not be taken for away
    ::testing::internal::CaptureStderr();
    begin(options);
    const auto agent = raw_agent();
    wait_for(ExchangerState::idle);
    agent->answer_heartbeats({});
    wait_for(ExchangerState::away);
    EXPECT_THAT(::testing::internal::GetCapturedStderr(),
                HasSubstr("agent site/agent is disconnected: no answer for 300 ms"));
    auto reply = execute("train");
    EXPECT_FALSE(is_ready(reply));
    EXPECT_EQ(recorder->count("system_panic"), 0);
    agent->answer_heartbeats(HeartbeatAnswer{});
    const auto task = agent->get<GiveTask>();
    (void)agent->send(result_of(task.ref, 1));
    EXPECT_EQ(reply.get().body.integer_or(0), 1);
}

TEST_F(I3_Exchanger, TheDeadTimeOutPanicsOnceAndEndsTheTask) {
    auto options = exchanger_options();
    options.disconnected_after = milliseconds(40);
    options.dead_after = milliseconds(60);
    begin(options);
    const auto reply = execute("train").get();
    EXPECT_EQ(reply.code, ReturnCode::execution_exception);
    EXPECT_THAT(reply.failure->message, HasSubstr("agent site/agent has not been there for 60 ms"));
    EXPECT_THAT(recorder->expect("system_panic").context.text_or("panic_reason", ""), HasSubstr("site/agent"));
    EXPECT_EQ(execute("train").get().code, ReturnCode::execution_exception) << "the next one too";
    std::this_thread::sleep_for(kShort);
    EXPECT_EQ(recorder->count("system_panic"), 1);
}

TEST_F(I3_Exchanger, WithoutADeadTimeOutItWaits) {
    auto options = exchanger_options();
    options.disconnected_after = milliseconds(40);
    begin(options);
    auto reply = execute("train");
    EXPECT_FALSE(is_ready(reply, milliseconds(300)));
    exchanger->finalise();
    EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
}

class I4_Execute : public Exchange {};

TEST_F(I4_Execute, WhileATaskIsOpenIsRefused) {
    begin();
    const auto agent = raw_agent();
    auto first = execute("train");
    const auto task = agent->get<GiveTask>();
    EXPECT_EQ(execute("train").get().code, ReturnCode::bad_request_data);
    (void)agent->send(result_of(task.ref, 1));
    EXPECT_TRUE(first.get().ok()) << "the first does not suffer";
}

TEST_F(I4_Execute, WaitsUntilTheAgentIsThere) {
    begin();
    auto reply = execute("train");
    EXPECT_FALSE(is_ready(reply));
    const auto agent = raw_agent();
    (void)agent->send(result_of(agent->get<GiveTask>().ref, 5));
    EXPECT_EQ(reply.get().body.integer_or(0), 5);
}

TEST_F(I4_Execute, OrAborted) {
    begin();
    const Signal abort;
    auto reply = execute("train", {}, abort);
    EXPECT_FALSE(is_ready(reply));
    abort.trigger("enough");
    const auto aborted = reply.get();
    EXPECT_EQ(aborted.code, ReturnCode::task_aborted);
    EXPECT_EQ(aborted.failure->message, "enough");
    EXPECT_EQ(aborted.failure->task, "train");
}

TEST_F(I4_Execute, OrDone) {
    begin();
    auto reply = execute("train");
    EXPECT_FALSE(is_ready(reply));
    auto context = engine->new_context();
    engine->fire_event("end_run", context);
    EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
    EXPECT_EQ(execute("train").get().code, ReturnCode::not_ready);
}

TEST_F(I4_Execute, InputOfTheWrongKindIsBadTaskData) {
    begin();
    const auto agent = raw_agent();
    const auto code_of = [&](const Shareable& input, const std::string& name = "train") {
        return execute(name, input).get().code;
    };
    Shareable kind;
    kind.headers["data_kind"] = 7;
    EXPECT_EQ(code_of(kind), ReturnCode::bad_task_data);
    kind.headers["data_kind"] = "two words";
    EXPECT_EQ(code_of(kind), ReturnCode::bad_task_data);
    EXPECT_EQ(code_of(Shareable::failed(ReturnCode::task_unknown, "x")), ReturnCode::bad_task_data);
    Shareable reserved;
    reserved.headers["_exchange_"] = "x";
    EXPECT_EQ(code_of(reserved), ReturnCode::bad_task_data);
    EXPECT_EQ(code_of({}, ""), ReturnCode::bad_task_data);
    Shareable deep;
    for (int level = 0; level < 100; ++level) deep.body = Value::Array{deep.body};
    EXPECT_EQ(code_of(deep), ReturnCode::bad_task_data);
    EXPECT_FALSE(agent->gets<GiveTask>()) << "the agent hears of none of them";
    auto next = execute("train");
    (void)agent->send(result_of(agent->get<GiveTask>().ref, 1));
    EXPECT_TRUE(next.get().ok()) << "and the next task is not held up";
}

class I5_Sending : public Exchange {};

TEST_F(I5_Sending, TheTaskCarriesWhatItIs) {
    begin();
    const auto agent = raw_agent();
    Shareable input = with(3);
    input.headers["round"] = 2;
    input.headers["rounds"] = 7;
    input.headers["data_kind"] = "metrics";
    auto reply = execute("validate", input);
    auto task = agent->get<GiveTask>();
    EXPECT_EQ(task.name, "validate");
    EXPECT_EQ(task.ref.task.size(), 32U);
    EXPECT_EQ(task.ref.attempt, 1);
    EXPECT_EQ(task.round, 2);
    EXPECT_EQ(task.rounds, 7);
    EXPECT_EQ(task.kind, "metrics");
    EXPECT_EQ(task.input, input);
    (void)agent->send(result_of(task.ref, 1));
    EXPECT_TRUE(reply.get().ok());
    auto next = execute("train");
    task = agent->get<GiveTask>();
    EXPECT_FALSE(task.round);
    EXPECT_FALSE(task.rounds);
    EXPECT_EQ(task.kind, "weights");
    (void)agent->send(result_of(task.ref, 1));
    EXPECT_TRUE(next.get().ok());
}

TEST_F(I5_Sending, TheResultsKindIsItsOwnAndAppDefinedStays) {
    begin();
    const auto agent = raw_agent();
    const auto kind_of_result = [&](const char* of_task, const char* of_result) {
        Shareable input;
        input.headers["data_kind"] = of_task;
        auto reply = execute("train", input);
        auto result = result_of(agent->get<GiveTask>().ref, 1);
        if (of_result != nullptr) result.kind = of_result;
        (void)agent->send(result);
        return reply.get().header("data_kind")->text_or("");
    };
    EXPECT_EQ(kind_of_result("weights", nullptr), "weights");
    EXPECT_EQ(kind_of_result("weights", "metrics"), "metrics");
    EXPECT_EQ(kind_of_result("app_defined", "weights"), "app_defined");
}

TEST_F(I5_Sending, AcceptedWaitsForTheResultWithoutSendingAgain) {
    begin();
    const auto agent = raw_agent();
    auto reply = execute("train");
    const auto given = agent->expect<GiveTask>();
    const auto ref = std::get<GiveTask>(given.message).ref;
    (void)agent->send(accepting(ref), given.id);
    agent->answer_heartbeats(holding(ref, true));
    wait_for(ExchangerState::working);
    std::this_thread::sleep_for(exchanger_options().send_timeout + exchanger_options().resend_interval);
    EXPECT_FALSE(agent->gets<GiveTask>());
    (void)agent->send(result_of(ref, 1));
    EXPECT_TRUE(reply.get().ok());
}

TEST_F(I5_Sending, RefusedIsBadRequestData) {
    begin();
    const auto agent = raw_agent();
    auto reply = execute("train");
    const auto given = agent->expect<GiveTask>();
    (void)agent->send(TaskAnswer{std::get<GiveTask>(given.message).ref, false, "not today"}, given.id);
    const auto refused = reply.get();
    EXPECT_EQ(refused.code, ReturnCode::bad_request_data);
    EXPECT_THAT(refused.failure->message, HasSubstr("not today"));
}

TEST_F(I5_Sending, AnythingElseIsSentAgainAsTheSameAttempt) {
    begin();
    const auto agent = raw_agent();
    auto reply = execute("train");
    const auto first = agent->expect<GiveTask>();
    const auto ref = std::get<GiveTask>(first.message).ref;
    (void)agent->send(TaskAnswer{{std::string(32, 'f'), 1}, false, "another task"}, first.id);
    const auto second = agent->expect<GiveTask>();
    EXPECT_EQ(std::get<GiveTask>(second.message).ref, ref);
    EXPECT_EQ(second.id, first.id);
    (void)agent->expect<GiveTask>();
    EXPECT_FALSE(is_ready(reply, milliseconds(0)));
    (void)agent->send(result_of(ref, 8));
    EXPECT_EQ(reply.get().body.integer_or(0), 8) << "a result while it is sent again ends it";
}

TEST_F(I5_Sending, WhatTheAgentSaysItHoldsItHasAccepted) {
    begin();
    const auto agent = raw_agent();
    auto reply = execute("train");
    const auto ref = agent->get<GiveTask>().ref;
    agent->answer_heartbeats(holding(ref, false));
    wait_for(ExchangerState::working);
    (void)agent->send(result_of(ref, 1));
    EXPECT_TRUE(reply.get().ok());
}

TEST_F(I5_Sending, AbortIsSentEvenWhenDeliveryIsUncertain) {
    begin();
    const auto agent = raw_agent();
    const Signal abort;
    auto reply = execute("train", {}, abort);
    const auto ref = agent->get<GiveTask>().ref;
    abort.trigger("enough");
    EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
    const auto told = agent->get<AbortTask>();
    EXPECT_EQ(told.ref, ref);
    EXPECT_EQ(told.why, "enough");
}

TEST_F(I5_Sending, AnAbortThatWasLostIsSaidWhenTheAgentComesBackWithTheTask) {
    begin();
    auto agent = raw_agent();
    const Signal abort;
    auto reply = execute("train", {}, abort);
    const auto ref = agent->get<GiveTask>().ref;
    agent.reset();
    wait_for(ExchangerState::waiting);
    abort.trigger("enough");
    EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
    agent = raw_agent();
    agent->answer_heartbeats(holding(ref, true));
    EXPECT_EQ(agent->get<AbortTask>().ref, ref);
}

class I6_Results : public Exchange {
protected:
    void SetUp() override {
        begin();
        agent = raw_agent();
        wait_for(ExchangerState::idle);
    }
    ResultAnswer answer_to(const GiveResult& result) {
        const auto id = agent->send(result);
        while (true) {
            auto answer = agent->expect<ResultAnswer>();
            if (answer.request_id == id || answer.request_id.empty()) return std::get<ResultAnswer>(answer.message);
        }
    }
    TaskRef open(const std::string& name = "train") {
        reply = execute(name);
        const auto given = agent->expect<GiveTask>();
        ref = std::get<GiveTask>(given.message).ref;
        (void)agent->send(accepting(ref), given.id);
        agent->answer_heartbeats(holding(ref, true));
        return ref;
    }
    /// A new process of it, which knows nothing.
    void restart() {
        agent.reset();
        agent = raw_agent();
    }
    static GiveResult without_task(int number) {
        auto result = result_of({}, number);
        result.ref.reset();
        return result;
    }

    std::unique_ptr<RawEnd> agent;
    std::future<Shareable> reply;
    TaskRef ref;
};

TEST_F(I6_Results, WithoutAnOpenTaskAndWithoutIdAreAcceptedAndIgnored) {
    EXPECT_TRUE(answer_to(without_task(1)).accepted);
    open();
    EXPECT_FALSE(is_ready(reply)) << "it is not kept for the next task";
    (void)agent->send(result_of(ref, 2));
    EXPECT_EQ(reply.get().body.integer_or(0), 2);
}

TEST_F(I6_Results, WithoutAnOpenTaskAndWithAnIdAreRefused) {
    const auto answer = answer_to(result_of({std::string(32, 'a'), 1}, 1));
    EXPECT_FALSE(answer.accepted);
    EXPECT_THAT(answer.why, HasSubstr("no task is open"));
    EXPECT_EQ(exchanger->report().late_results, 1U);
}

TEST_F(I6_Results, WithTheWrongIdAreRefused) {
    open();
    EXPECT_FALSE(answer_to(result_of({std::string(32, 'a'), 1}, 1)).accepted);
    EXPECT_FALSE(answer_to(result_of({ref.task, ref.attempt + 1}, 1)).accepted) << "of an attempt that never was";
    EXPECT_FALSE(is_ready(reply));
    EXPECT_TRUE(answer_to(result_of(ref, 7)).accepted);
    EXPECT_EQ(reply.get().body.integer_or(0), 7);
}

TEST_F(I6_Results, AgainAreAcceptedAndIgnored) {
    open();
    EXPECT_TRUE(answer_to(result_of(ref, 1)).accepted);
    EXPECT_EQ(reply.get().body.integer_or(0), 1);
    EXPECT_TRUE(answer_to(result_of(ref, 2)).accepted);
    const auto first = ref;
    open();
    EXPECT_TRUE(answer_to(result_of(first, 3)).accepted) << "while another task is open";
    EXPECT_FALSE(is_ready(reply));
    (void)agent->send(result_of(ref, 4));
    EXPECT_EQ(reply.get().body.integer_or(0), 4);
}

TEST_F(I6_Results, ThatWereTakenAreSaidToBeAgainToAnAgentThatHasNotHeard) {
    open();
    const auto id = agent->send(result_of(ref, 1));
    (void)agent->expect<ResultAnswer>();
    EXPECT_EQ(reply.get().body.integer_or(0), 1);
    const auto again = agent->expect<ResultAnswer>();  // it still says that it holds the task
    EXPECT_EQ(again.request_id, id);
    EXPECT_TRUE(std::get<ResultAnswer>(again.message).accepted);
    EXPECT_FALSE(agent->gets<AbortTask>());
}

TEST_F(I6_Results, OfATaskThatWasGivenUpAreRefused) {
    const Signal abort;
    reply = execute("train", {}, abort);
    const auto late = agent->get<GiveTask>().ref;
    abort.trigger("enough");
    EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
    EXPECT_FALSE(answer_to(result_of(late, 1)).accepted);
    open();
    EXPECT_FALSE(answer_to(result_of(late, 2)).accepted) << "and do not land on the next";
    EXPECT_FALSE(is_ready(reply));
    (void)agent->send(result_of(ref, 4));
    EXPECT_EQ(reply.get().body.integer_or(0), 4);
}

TEST_F(I6_Results, WithoutMetadataEndTheTask) {
    open();
    const auto bad = PipeMessage::request("result", with(1));
    agent->send(Outgoing{pipe::encode(bad).value(), false, 0});
    const auto answer = agent->expect<ResultAnswer>();
    EXPECT_EQ(answer.request_id, bad.id);
    EXPECT_FALSE(std::get<ResultAnswer>(answer.message).accepted);
    const auto failed = reply.get();
    EXPECT_EQ(failed.code, ReturnCode::execution_exception);
    EXPECT_THAT(failed.failure->message, HasSubstr("kind"));
    agent->answer_heartbeats(HeartbeatAnswer{});
    open();
    (void)agent->send(result_of(ref, 4));
    EXPECT_TRUE(reply.get().ok()) << "the next task is not held up";
}

TEST_F(I6_Results, ThatCannotBeReadEndTheTask) {
    open();
    auto bad = pipe::encode(to_pipe(result_of(ref, 1))).value();
    const auto owner = std::make_shared<std::string>("\xc1 rubbish");
    bad.frames[0] = {std::as_bytes(std::span(owner->data(), owner->size())), owner};
    agent->send(Outgoing{bad, false, 0});
    EXPECT_FALSE(agent->get<ResultAnswer>().accepted);
    EXPECT_EQ(reply.get().code, ReturnCode::execution_exception);
}

TEST_F(I6_Results, WithoutDataAreResults) {
    open();
    GiveResult empty;
    empty.ref = ref;
    EXPECT_TRUE(answer_to(empty).accepted);
    const auto result = reply.get();
    EXPECT_TRUE(result.ok());
    EXPECT_TRUE(result.body.is_null());
}

TEST_F(I6_Results, WithoutIdAreTakenFromAProcessAfterTheOneThatHadGotTheTask) {
    open();
    wait_for(ExchangerState::working);
    (void)agent->send(TaskFetched{ref});
    EXPECT_FALSE(answer_to(without_task(1)).accepted)
        << "from the process that has it; and what was sent before has come";
    restart();
    EXPECT_TRUE(answer_to(without_task(6)).accepted);
    EXPECT_EQ(reply.get().body.integer_or(0), 6);
}

TEST_F(I6_Results, WithoutIdAreRefusedWhereNoProcessBeforeHadGotTheTask) {
    reply = execute("train");
    const auto given = agent->expect<GiveTask>();
    ref = std::get<GiveTask>(given.message).ref;
    (void)agent->send(accepting(ref), given.id);
    agent->answer_heartbeats(holding(ref, false));
    wait_for(ExchangerState::working);
    EXPECT_FALSE(answer_to(without_task(1)).accepted) << "from the process that has it";
    restart();
    const auto answer = answer_to(without_task(2));
    EXPECT_FALSE(answer.accepted) << "from the next one, though its predecessor had not got it";
    EXPECT_THAT(answer.why, HasSubstr("train"));
    EXPECT_FALSE(is_ready(reply));
    const auto again = agent->get<GiveTask>();
    (void)agent->send(result_of(again.ref, 3));
    EXPECT_EQ(reply.get().body.integer_or(0), 3);
}

TEST_F(I6_Results, NamedByARestartedProgramAreTakenForThatTaskOnly) {
    open();
    restart();
    EXPECT_FALSE(answer_to(result_of({std::string(32, 'a'), 0}, 1)).accepted);
    EXPECT_FALSE(is_ready(reply));
    EXPECT_TRUE(answer_to(result_of({ref.task, 0}, 2)).accepted);
    EXPECT_EQ(reply.get().body.integer_or(0), 2);
    EXPECT_TRUE(answer_to(result_of({ref.task, 0}, 3)).accepted) << "again";
}

TEST_F(I6_Results, OfAnAttemptBeforeARestartAreRefused) {
    const auto first = open();
    restart();
    const auto second = agent->get<GiveTask>();
    EXPECT_EQ(second.ref, (TaskRef{first.task, 2}));
    EXPECT_EQ(second.name, "train");
    const auto answer = answer_to(result_of(first, 1));
    EXPECT_FALSE(answer.accepted);
    EXPECT_THAT(answer.why, HasSubstr("another process"));
    EXPECT_FALSE(is_ready(reply));
    EXPECT_TRUE(answer_to(result_of(second.ref, 2)).accepted);
    EXPECT_EQ(reply.get().body.integer_or(0), 2);
}

TEST_F(I6_Results, WithAnotherCodeAreBareRepliesWithIt) {
    open();
    auto failed = result_of(ref, 5);
    failed.result.code = ReturnCode::task_unknown;
    failed.result.failure = Failure{};
    failed.result.failure->message = "no such task";
    failed.result.headers["x"] = 1;
    EXPECT_TRUE(answer_to(failed).accepted);
    const auto result = reply.get();
    EXPECT_EQ(result.code, ReturnCode::task_unknown);
    EXPECT_EQ(result.failure->message, "no such task");
    EXPECT_TRUE(result.body.is_null());
    EXPECT_TRUE(result.headers.empty());
}

TEST_F(I6_Results, AreGivenUpWhenTheProcessThatAcceptedNoLongerHasTheTask) {
    open();
    wait_for(ExchangerState::working);
    agent->answer_heartbeats(HeartbeatAnswer{});
    const auto failed = reply.get();
    EXPECT_EQ(failed.code, ReturnCode::execution_exception);
    EXPECT_THAT(failed.failure->message, HasSubstr("no longer has task train"));
}

TEST_F(I6_Results, AreNotWaitedForInOneProcessAfterAnother) {
    exchanger->finalise();
    auto options = exchanger_options();
    options.max_attempts = 2;
    IpcExchanger other(options);
    ASSERT_TRUE(other.initialise(engine->new_context()));
    auto given_up = std::async(std::launch::async, [&] {
        auto context = engine->new_context();
        return other.execute("train", {}, context, {});
    });
    EXPECT_EQ(agent->get<GiveTask>().ref.attempt, 1);
    restart();
    EXPECT_EQ(agent->get<GiveTask>().ref.attempt, 2);
    restart();
    const auto failed = given_up.get();
    EXPECT_EQ(failed.code, ReturnCode::execution_exception);
    EXPECT_THAT(failed.failure->message, HasSubstr("max_attempts is 2"));
}

class I9_EndOfRun : public Exchange {};

TEST_F(I9_EndOfRun, SaysBye) {
    begin();
    const auto agent = raw_agent();
    wait_for(ExchangerState::idle);
    auto ended = std::async(std::launch::async, [&] {
        auto context = engine->new_context();
        engine->fire_event("end_run", context);
    });
    const auto bye = agent->expect<Bye>();
    EXPECT_EQ(ended.wait_for(kShort), std::future_status::timeout) << "it waits for the answer";
    (void)agent->send(ByeAnswer{}, bye.id);
    ended.get();
}

TEST_F(I9_EndOfRun, WaitsForTheAnswerNoLongerThanTheTimeOut) {
    auto options = exchanger_options();
    options.acknowledge_timeout = milliseconds(50);
    begin(options);
    const auto agent = raw_agent();
    wait_for(ExchangerState::idle);
    exchanger->finalise();
    (void)agent->expect<Bye>();
}

TEST_F(I9_EndOfRun, NorForAnAgentThatIsNotThere) {
    auto options = exchanger_options();
    options.acknowledge_timeout = std::chrono::hours(1);
    begin(options);
    exchanger->finalise();
    ASSERT_TRUE(exchanger->initialise(engine->new_context())) << "it may begin again";
    auto agent = raw_agent();
    wait_for(ExchangerState::idle);
    auto ended = std::async(std::launch::async, [&] { exchanger->finalise(); });
    (void)agent->expect<Bye>();
    agent.reset();  // instead of an answer
    ended.get();
}

TEST_F(I9_EndOfRun, SaysByeToAnAgentThatHasNotYetAnsweredToAHeartbeat) {
    auto options = exchanger_options();
    options.disconnected_after = kLong;
    begin(options);
    RawEnd agent(RawEnd::Side::agent, place());
    (void)agent.expect<Heartbeat>();
    auto ended = std::async(std::launch::async, [&] { exchanger->finalise(); });
    (void)agent.send(ByeAnswer{}, agent.expect<Bye>().id);
    ended.get();
}

TEST_F(I9_EndOfRun, SaysNothingOnRequest) {
    auto options = exchanger_options();
    options.say_bye = false;
    begin(options);
    const auto agent = raw_agent();
    wait_for(ExchangerState::idle);
    exchanger->finalise();
    EXPECT_FALSE(agent->gets<Bye>());
}

class Better_Exchanger : public Exchange {};

/// Takes its time with logs; what is added after it sees them later.
class Slow : public Component {
public:
    void handle_event(const std::string& type, Context& /*context*/) override {
        if (type == "progress") std::this_thread::sleep_for(kShort);
    }
};

TEST_F(Better_Exchanger, WhatTheProgramLogsIsAnEventAndComesBeforeTheResult) {
    engine->add("slow", std::make_unique<Slow>());
    begin();
    const auto agent = raw_agent();
    auto reply = execute("train");
    const auto ref = agent->get<GiveTask>().ref;
    const ProgramLog log{"progress", {{"loss", 0.5}}};
    const auto id = agent->send(log);
    EXPECT_EQ(agent->expect<LogAnswer>().request_id, id);
    (void)agent->send(result_of(ref, 1));
    EXPECT_TRUE(reply.get().ok());
    ASSERT_EQ(recorder->count("progress"), 1) << "before execute returns";
    const auto event = recorder->expect("progress");
    EXPECT_EQ(event.context.integer_or(property::kFromRank, -1), 0);
    EXPECT_EQ(event.context.get("metric")->find("loss")->real_or(0), 0.5);
}

TEST_F(Better_Exchanger, ALogThatComesTwiceIsOneEvent) {
    begin();
    const auto agent = raw_agent();
    const Outgoing log{pipe::encode(ProgramLog{"progress", {{"loss", 0.5}}}.to_message()).value(), false, 0};
    agent->send(log);
    (void)agent->expect<LogAnswer>();
    agent->send(log);
    (void)agent->expect<LogAnswer>();
    auto reply = execute("train");
    (void)agent->send(result_of(agent->get<GiveTask>().ref, 1));
    EXPECT_TRUE(reply.get().ok());
    EXPECT_EQ(recorder->count("progress"), 1);
}

TEST_F(Better_Exchanger, WhatTheProgramLogsIsNoEventOfTheRunItself) {
    begin();
    const auto agent = raw_agent();
    for (const auto type : {event::kStartRun, event::kAboutToEndRun, event::kEndRun, event::kSystemPanic}) {
        (void)agent->send(ProgramLog{std::string(type), {{"a", 1}}});
        (void)agent->expect<LogAnswer>();
    }
    (void)agent->send(ProgramLog{"progress", {{"loss", 0.5}}});
    (void)recorder->expect("progress");
    for (const auto type : {event::kStartRun, event::kAboutToEndRun, event::kEndRun, event::kSystemPanic}) {
        EXPECT_EQ(recorder->count(std::string(type)), 0) << type;
    }
}

/// Calls execute from where it must not be called, and throws.
class Intruder : public Component {
public:
    std::atomic<IpcExchanger*> exchanger = nullptr;
    std::promise<ReturnCode> code;
    void handle_event(const std::string& type, Context& context) override {
        if (type != "progress") return;
        code.set_value(exchanger.load()->execute("train", {}, context, {}).code);
        throw std::runtime_error("of a handler");
    }
};

TEST_F(Better_Exchanger, AHandlerOfALogCannotWedgeIt) {
    auto& intruder = dynamic_cast<Intruder&>(engine->add("intruder", std::make_unique<Intruder>()));
    begin();
    intruder.exchanger = exchanger;
    const auto agent = raw_agent();
    (void)agent->send(ProgramLog{"progress", {{"loss", 0.5}}});
    EXPECT_EQ(intruder.code.get_future().get(), ReturnCode::bad_request_data);
    auto reply = execute("train");
    (void)agent->send(result_of(agent->get<GiveTask>().ref, 1));
    EXPECT_TRUE(reply.get().ok());
}

TEST_F(Better_Exchanger, AnAgentWithAnotherKeyIsNone) {
    begin();
    auto impostor_place = place();
    impostor_place.key = Secret::random();
    {
        RawEnd impostor(RawEnd::Side::agent, impostor_place);
        impostor.answer_heartbeats(HeartbeatAnswer{});
        auto reply = execute("train");
        EXPECT_FALSE(is_ready(reply));
        EXPECT_FALSE(impostor.up());
        exchanger->finalise();
        EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
    }
}

TEST_F(Better_Exchanger, AKeyFileThatIsNamedHasToBeThere) {
    auto options = exchanger_options();
    options.key_file = base.path() + "/typo";
    IpcExchanger lonely(options);
    const auto begun = lonely.initialise(engine->new_context());
    ASSERT_FALSE(begun);
    EXPECT_THAT(begun.error().message, HasSubstr("there is no key file " + options.key_file));
}

TEST_F(Better_Exchanger, TheKeyIsReadAgainWhenItIsRefused) {
    const auto old = place();
    begin();
    ASSERT_EQ(std::remove((old.folder + "/key").c_str()), 0);
    const auto fresh = place();
    RawEnd agent(RawEnd::Side::agent, fresh);
    agent.answer_heartbeats(HeartbeatAnswer{});
    wait_for(ExchangerState::idle);
}

}  // namespace
}  // namespace rankexec::test
