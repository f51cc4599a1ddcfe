// SPDX-License-Identifier: Apache-2.0
// L17: what a program gets from its agent, over a pipe of every form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <thread>

#include "rankexec/ipc/exchange/program_log.hpp"
#include "rankexec/worker/agent/agent.hpp"
#include "rankexec/worker/agent/launched_agent.hpp"
#include "test_host.hpp"
#include "unit/pipe/fake_pipe.hpp"
#include "unit/pipe/small_files.hpp"

namespace rankexec::test {
namespace {

using agent::Agent;
using agent::AgentError;
using agent::InitOptions;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using Kind = AgentError::Kind;

/// "closed", ...; "" when there is no error.
template <typename Result>
std::string kind_of(const Result& result) {
    return result ? "" : std::string(to_string(result.error().kind));
}

class L17_Agent : public ::testing::TestWithParam<AddressForm> {
protected:
    void connect(const std::function<void(InitOptions&)>& change = {}) {
        InitOptions options;
        options.address = host.address();
        options.handler.peer_gone_after = milliseconds(0);
        if (change) change(options);
        auto made = agent::init(options);
        ASSERT_TRUE(made) << made.error().message;
        agent = std::move(*made);
    }
    agent::Task fetched() {
        auto task = agent->get_task(kLong);
        EXPECT_TRUE(task) << task.error().message;
        EXPECT_TRUE(task && *task) << "no task has come";
        return task && *task ? std::move(**task) : agent::Task{};
    }

    TestHost host{GetParam()};
    std::unique_ptr<Agent> agent;
};
INSTANTIATE_TEST_SUITE_P(, L17_Agent, ::testing::ValuesIn(all_address_forms()), address_form_name);

TEST_P(L17_Agent, EachTaskHasOneResult) {
    connect();
    EXPECT_TRUE(agent->is_running());
    for (int number = 0; number < 3; ++number) {
        auto input = numbered_content(number);
        input.headers["round"] = number + 1;
        input.headers["rounds"] = 3;
        input.tensors.emplace("w", Tensor::copy_of<float>(std::vector<float>(1000, 0.5F), {10, 100}));
        const auto request = host.give("train", input);
        const auto task = fetched();
        EXPECT_EQ(task.name, "train");
        EXPECT_EQ(task.id, request.id);
        EXPECT_EQ(task.input, input);
        EXPECT_EQ(task.round, number + 1);
        EXPECT_EQ(task.rounds, 3);
        EXPECT_EQ(kind_of(agent->submit_result(numbered_content(10 * number))), "");
        const auto reply = host.next();
        EXPECT_EQ(reply.kind, PipeMessage::Kind::reply);
        EXPECT_EQ(reply.topic, "train");
        EXPECT_EQ(reply.request_id, request.id);
        EXPECT_EQ(number_of(reply), 10 * number);
    }
}

TEST_P(L17_Agent, RoundsThatAreNoneAreLeftOut) {
    connect();
    auto input = numbered_content(1);
    input.headers["round"] = "first";
    input.headers["rounds"] = std::int64_t{1} << 40U;
    host.give("train", input);
    const auto task = fetched();
    EXPECT_EQ(task.round, std::nullopt);
    EXPECT_EQ(task.rounds, std::nullopt);
}

TEST_P(L17_Agent, AFailureIsAResultToo) {
    connect();
    host.give("train");
    (void)fetched();
    EXPECT_EQ(kind_of(agent->submit_result(Shareable::failed(ReturnCode::bad_task_data, "no data"))), "");
    const auto reply = host.next();
    EXPECT_EQ(reply.content.code, ReturnCode::bad_task_data);
    EXPECT_EQ(reply.content.failure->message, "no data");
}

TEST_P(L17_Agent, AHeaderThatAttachedProgramsMayNotUseIsRefusedHereToo) {
    connect();
    host.give("train");
    (void)fetched();
    auto result = numbered_content(1);
    result.headers["_exchange_"] = 1;
    EXPECT_EQ(kind_of(agent->submit_result(result)), "configuration");
    EXPECT_EQ(kind_of(agent->submit_result(numbered_content(2))), "") << "the task is still open";
    EXPECT_EQ(number_of(host.next()), 2);
}

TEST_P(L17_Agent, NothingInTimeIsNoError) {
    connect();
    const auto task = agent->get_task(milliseconds(1));
    ASSERT_TRUE(task) << task.error().message;
    EXPECT_FALSE(*task);
    EXPECT_TRUE(agent->is_running());
}

TEST_P(L17_Agent, ATimeOutMustBeAboveZero) {
    connect();
    EXPECT_EQ(kind_of(agent->get_task(milliseconds(0))), "configuration");
    EXPECT_EQ(kind_of(agent->get_task(milliseconds(-1))), "configuration");
}

TEST_P(L17_Agent, GettingATaskWhileOneIsOpenIsACallStateError) {
    connect();
    host.give("train");
    (void)fetched();
    host.give("validate");
    const auto second = agent->get_task(kLong);
    EXPECT_EQ(kind_of(second), "call state");
    EXPECT_THAT(second.error().message, HasSubstr("train is open"));
    EXPECT_EQ(kind_of(agent->submit_result({})), "");
    EXPECT_EQ(fetched().name, "validate");
}

TEST_P(L17_Agent, SubmittingWithoutATaskIsRefused) {
    connect();
    EXPECT_EQ(kind_of(agent->submit_result({})), "call state");
    host.give("train");
    EXPECT_EQ(kind_of(agent->submit_result({})), "call state");  // it was not fetched yet
    (void)fetched();
    EXPECT_EQ(kind_of(agent->submit_result(numbered_content(1))), "");
    EXPECT_EQ(kind_of(agent->submit_result(numbered_content(2))), "call state");
    EXPECT_EQ(number_of(host.next()), 1);
}

TEST_P(L17_Agent, AResultOverTheLimitsLeavesTheTaskOpen) {
    connect();
    host.give("train");
    (void)fetched();
    Shareable large;
    large.body = std::string(std::size_t{17} << 20U, 'x');
    EXPECT_EQ(kind_of(agent->submit_result(large)), "configuration");
    EXPECT_EQ(kind_of(agent->submit_result(numbered_content(1))), "");
    EXPECT_EQ(number_of(host.next()), 1);
}

/// The form that writes to a disk.
class L17_AgentOverFiles : public L17_Agent {};
INSTANTIATE_TEST_SUITE_P(, L17_AgentOverFiles, ::testing::Values(AddressForm::files), address_form_name);

TEST_P(L17_AgentOverFiles, AResultThatThereIsNoRoomForLeavesTheTaskOpen) {
    connect();
    host.give("train");
    (void)fetched();
    {
        const NoRoom full;
        const auto submitted = agent->submit_result(numbered_content(1));
        EXPECT_EQ(kind_of(submitted), "not delivered");
        EXPECT_THAT(submitted.error().message, HasSubstr("could not be written"));
    }
    EXPECT_TRUE(agent->is_running());
    EXPECT_EQ(kind_of(agent->submit_result(numbered_content(2))), "");
    EXPECT_EQ(number_of(host.next()), 2);
}

// ---- the end ----------------------------------------------------------------------------------

struct Ending {
    PipeMessage message;
    std::string said;
};

TEST_P(L17_Agent, AfterEndAndAbortTheAgentIsClosed) {
    for (const auto& [message, said] : {Ending{PipeMessage::end("the job is done"), "has ended: the job is done"},
                                        Ending{PipeMessage::abort("enough"), "has aborted: enough"}}) {
        TestHost own(GetParam());
        InitOptions options;
        options.address = own.address();
        auto made = agent::init(options).value();
        own.give("train");
        const auto task = made->get_task(kLong).value().value();
        EXPECT_FALSE(task.abort.triggered());
        own.tell(message);
        EXPECT_TRUE(task.abort.wait_for(kLong));
        EXPECT_THAT(task.abort.reason(), HasSubstr(said));
        EXPECT_TRUE(made->closed().triggered());
        EXPECT_FALSE(made->is_running());
        const auto next = made->get_task(kLong);
        EXPECT_EQ(kind_of(next), "closed");
        EXPECT_THAT(next.error().message, HasSubstr(said));
        EXPECT_EQ(kind_of(made->submit_result({})), "closed");
        EXPECT_EQ(kind_of(made->log({{"loss", 1}}, "metric")), "closed");
    }
}

TEST_P(L17_Agent, ATaskThatWasNotFetchedIsGoneWithTheEnd) {
    connect();
    host.give("train");
    host.tell(PipeMessage::end(""));
    agent->closed().wait();
    EXPECT_EQ(kind_of(agent->get_task(kLong)), "closed");
}

TEST_P(L17_Agent, AnExecutorThatIsGoneClosesTheAgent) {
    connect([](InitOptions& options) {
        options.handler.heartbeat_interval = milliseconds(10);
        options.handler.peer_gone_after = milliseconds(50);
    });
    const auto task = agent->get_task(kLong);
    EXPECT_EQ(kind_of(task), "closed");
    EXPECT_THAT(task.error().message, HasSubstr("is gone"));
}

TEST_P(L17_Agent, AClosedPipeClosesTheAgent) {
    connect();
    auto waiting = std::async(std::launch::async, [this] { return agent->get_task(kLong * 10); });
    host.close();
    EXPECT_EQ(kind_of(waiting.get()), "closed");
}

TEST_P(L17_Agent, TheEndWakesWhoWaitsForATask) {
    connect();
    auto waiting = std::async(std::launch::async, [this] { return agent->get_task(kLong * 10); });
    host.tell(PipeMessage::end("done"));
    EXPECT_EQ(kind_of(waiting.get()), "closed");
}

TEST_P(L17_Agent, ClosingTellsTheExecutorAndWakesOthers) {
    connect();
    auto waiting = std::async(std::launch::async, [this] { return agent->get_task(kLong * 10); });
    agent->close();
    EXPECT_EQ(kind_of(waiting.get()), "closed");
    EXPECT_FALSE(agent->is_running());
    EXPECT_EQ(host.next().topic, kEndTopic);
    agent->close();
}

TEST_P(L17_Agent, ClosingEndsTheOpenTask) {
    connect();
    host.give("train");
    const auto task = fetched();
    agent->close();
    EXPECT_TRUE(task.abort.triggered());
    EXPECT_EQ(kind_of(agent->submit_result({})), "closed");
}

TEST_P(L17_Agent, TheDestructorCloses) {
    connect();
    agent.reset();
    EXPECT_EQ(host.next().topic, kEndTopic);
}

TEST_P(L17_Agent, MayBeClosedFromWhoHearsOfTheAbortAndElsewhereAtOnce) {
    connect();
    host.give("train");
    const auto task = fetched();
    std::promise<void> heard;
    const auto subscription = task.abort.on_trigger([&](const std::string&) {
        heard.set_value();
        std::this_thread::sleep_for(kShort);  // most likely the other thread waits for this one now
        agent->close();
    });
    host.tell(PipeMessage::abort("enough"));
    heard.get_future().wait();
    agent->close();
    agent.reset();
}

// ---- logs and heartbeats ----------------------------------------------------------------------

TEST_P(L17_Agent, LogsReachTheExecutor) {
    connect();
    EXPECT_EQ(kind_of(agent->log({{"loss", 0.5}, {"epoch", 2}})), "");
    EXPECT_EQ(kind_of(agent->log({{"note", "warm"}}, "progress")), "");
    EXPECT_EQ(exchange::ProgramLog::from_message(host.next()).value(),
              (exchange::ProgramLog{"metric", {{"loss", 0.5}, {"epoch", 2}}}));
    EXPECT_EQ(exchange::ProgramLog::from_message(host.next()).value(),
              (exchange::ProgramLog{"progress", {{"note", "warm"}}}));
}

TEST_P(L17_Agent, WhatIsNoFigureIsNotLogged) {
    connect();
    EXPECT_EQ(kind_of(agent->log({{"weights", Value::Array{1, 2}}})), "configuration");
    EXPECT_EQ(kind_of(agent->log({{"loss", 1}}, "")), "configuration");
    EXPECT_TRUE(agent->is_running());
}

TEST_P(L17_Agent, HeartbeatsGoOnWhateverTheProgramDoes) {
    connect([](InitOptions& options) { options.handler.heartbeat_interval = milliseconds(1); });
    host.give("train");
    const auto task = fetched();
    EXPECT_TRUE(host.hears_heartbeats(20));
}

// ---- over a pipe that does as the test wants --------------------------------------------------

class L17_AgentOverFakePipe : public ::testing::Test {
protected:
    void make(milliseconds submit_timeout = milliseconds(1)) {
        InitOptions options;
        options.submit_timeout = submit_timeout;
        options.handler.peer_gone_after = milliseconds(0);
        options.handler.resend_interval = milliseconds(1);
        options.handler.max_resends = 1;
        agent = std::make_unique<agent::LaunchedAgent>(pipe, options);
    }
    void give(const std::string& task) { pipe->arrives(PipeMessage::request(task, {})); }

    std::shared_ptr<FakePipe> pipe = std::make_shared<FakePipe>();
    std::unique_ptr<Agent> agent;
};

TEST_F(L17_AgentOverFakePipe, AResultThatIsNotTakenMayBeSubmittedAgain) {
    pipe->outcome = [](int attempt) -> Pipe::Result {
        if (attempt < 2) return tl::unexpected(PipeError{PipeError::Kind::not_taken, "nobody"});
        return {};
    };
    make();
    give("train");
    ASSERT_TRUE(agent->get_task(kLong).value());
    EXPECT_EQ(kind_of(agent->submit_result({})), "not delivered");
    EXPECT_EQ(kind_of(agent->get_task(kLong)), "call state");
    EXPECT_EQ(kind_of(agent->submit_result({})), "");
    EXPECT_EQ(kind_of(agent->submit_result({})), "call state");
    EXPECT_EQ(pipe->attempts, 3);
}

TEST_F(L17_AgentOverFakePipe, OneThreadAtATimeSubmits) {
    pipe->hangs = true;
    make(kLong);
    give("train");
    ASSERT_TRUE(agent->get_task(kLong).value());
    auto first = std::async(std::launch::async, [this] { return agent->submit_result({}); });
    ASSERT_TRUE(pipe->wait_until([this] { return pipe->attempts > 0; }));
    EXPECT_EQ(kind_of(agent->submit_result({})), "call state");
    pipe->arrives(PipeMessage::abort("enough"));
    EXPECT_EQ(kind_of(first.get()), "closed");
}

TEST_F(L17_AgentOverFakePipe, AnEndThatOvertakesTheNewsThatAResultWasTakenDoesNotDenyIt) {
    pipe->hangs = true;
    make(kLong);
    give("train");
    ASSERT_TRUE(agent->get_task(kLong).value());
    auto sent = std::async(std::launch::async, [this] { return agent->submit_result({}); });
    ASSERT_TRUE(pipe->wait_until([this] { return pipe->attempts > 0; }));
    pipe->arrives(PipeMessage::end("the run has ended"));
    agent->closed().wait();
    pipe->hangs = false;
    pipe->wake();
    EXPECT_EQ(kind_of(sent.get()), "");
}

TEST_F(L17_AgentOverFakePipe, ALaterTaskReplacesOneThatWasNotFetched) {
    make();
    give("train");
    give("validate");
    pipe->arrives(PipeMessage::reply_to(PipeMessage::request("unasked", {}), {}));
    ASSERT_TRUE(pipe->wait_until([this] { return pipe->receives == 4; }));
    EXPECT_EQ(agent->get_task(kLong).value()->name, "validate");
    EXPECT_EQ(kind_of(agent->submit_result({})), "");
    EXPECT_FALSE(agent->get_task(milliseconds(1)).value());
}

TEST_F(L17_AgentOverFakePipe, ABrokenPipeWhileSubmittingClosesTheAgent) {
    pipe->outcome = [](int) -> Pipe::Result {
        return tl::unexpected(PipeError{PipeError::Kind::broken, "the peer has closed it"});
    };
    make();
    give("train");
    const auto task = agent->get_task(kLong).value().value();
    const auto sent = agent->submit_result({});
    EXPECT_EQ(kind_of(sent), "closed");
    EXPECT_THAT(sent.error().message, HasSubstr("the peer has closed it"));
    EXPECT_TRUE(task.abort.triggered());
    EXPECT_FALSE(agent->is_running());
}

// ---- init -------------------------------------------------------------------------------------

class L17_Init : public ::testing::Test {
protected:
    L17_Init() {
        ::unsetenv("RANKEXEC_AGENT");
        ::unsetenv("RANK");
    }
    ~L17_Init() override {
        ::unsetenv("RANKEXEC_AGENT");
        ::unsetenv("RANK");
    }
    static AgentError refusal(InitOptions options = {}) {
        const auto agent = agent::init(std::move(options));
        EXPECT_FALSE(agent);
        return agent ? AgentError{} : agent.error();
    }
};

TEST_F(L17_Init, AProgramThatNobodyHasLaunchedIsToldSo) {
    EXPECT_EQ(refusal().kind, Kind::call_state);
    EXPECT_THAT(refusal().message, HasSubstr("RANKEXEC_AGENT is not set"));
}

TEST_F(L17_Init, TakesTheAddressOutOfTheEnvironment) {
    TestHost host(AddressForm::credentials);
    ::setenv("RANKEXEC_AGENT", host.address().c_str(), 1);
    const char* const value = ::getenv("RANKEXEC_AGENT");
    const auto agent = agent::init();
    ASSERT_TRUE(agent) << agent.error().message;
    EXPECT_EQ(::getenv("RANKEXEC_AGENT"), nullptr);
    EXPECT_EQ(*value, '\0');  // not even there where it was
    EXPECT_EQ(refusal().kind, Kind::call_state);
}

TEST_F(L17_Init, OnlyRankZeroIsConnected) {
    TestHost host(AddressForm::files);
    ::setenv("RANKEXEC_AGENT", host.address().c_str(), 1);
    ::setenv("RANK", "3", 1);
    const auto error = refusal();
    EXPECT_EQ(error.kind, Kind::call_state);
    EXPECT_THAT(error.message, HasSubstr("rank 3"));
    EXPECT_EQ(::getenv("RANKEXEC_AGENT"), nullptr);
    ::setenv("RANKEXEC_AGENT", host.address().c_str(), 1);
    ::setenv("RANK", "0", 1);
    EXPECT_TRUE(agent::init());
}

TEST_F(L17_Init, AnAddressThatIsNoneIsRefused) {
    ::setenv("RANKEXEC_AGENT", "somewhere", 1);
    EXPECT_EQ(refusal().kind, Kind::configuration);
}

TEST_F(L17_Init, AnExecutorThatIsNotThereIsAConnectionError) {
    std::string address;
    {
        const TestHost host(AddressForm::credentials_file);
        address = host.address();
    }
    InitOptions options;
    options.address = address;
    EXPECT_EQ(refusal(options).kind, Kind::connection);
    EXPECT_THAT(refusal(options).message, HasSubstr("No such file"));
}

TEST_F(L17_Init, OptionsThatCannotBeAreRefused) {
    const TestHost host(AddressForm::files);
    const auto said = [&](const std::function<void(InitOptions&)>& change) {
        InitOptions options;
        options.address = host.address();
        change(options);
        const auto error = refusal(options);
        EXPECT_EQ(error.kind, Kind::configuration);
        return error.message;
    };
    EXPECT_THAT(said([](auto& options) { options.connect_timeout = milliseconds(0); }), HasSubstr("connect_timeout"));
    EXPECT_THAT(said([](auto& options) { options.submit_timeout = milliseconds(-1); }), HasSubstr("submit_timeout"));
    EXPECT_THAT(said([](auto& options) { options.log_timeout = milliseconds(0); }), HasSubstr("log_timeout"));
    const auto contradiction = said([](auto& options) { options.handler.peer_gone_after = milliseconds(10); });
    EXPECT_THAT(contradiction, HasSubstr("peer_gone_after is 10 ms"));
    EXPECT_THAT(contradiction, HasSubstr("heartbeat_interval 5000 ms"));
}

TEST_F(L17_Init, Defaults) {
    const InitOptions options;
    EXPECT_EQ(options.connect_timeout, milliseconds(60'000));
    EXPECT_EQ(options.submit_timeout, milliseconds(60'000));
    EXPECT_EQ(options.log_timeout, milliseconds(5'000));
    EXPECT_EQ(options.handler.heartbeat_interval, milliseconds(5'000));
    EXPECT_EQ(options.handler.peer_gone_after, milliseconds(30'000));
}

}  // namespace
}  // namespace rankexec::test
