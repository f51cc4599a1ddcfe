// SPDX-License-Identifier: Apache-2.0
// L8 to L10: the exchange of tasks over a pipe whose other end is this test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/executor/outside/task_exchanger.hpp"
#include "rankexec/core/model/event_type.hpp"
#include "rankexec/ipc/exchange/program_log.hpp"
#include "unit/pipe/fake_pipe.hpp"

namespace rankexec::test {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr milliseconds kLong{10'000};

/// Records what is fired.
class Listener : public Component {
public:
    explicit Listener(std::function<void(const std::string&, Context&)> handle) : handle_(std::move(handle)) {}
    void handle_event(const std::string& type, Context& context) override { handle_(type, context); }

private:
    std::function<void(const std::string&, Context&)> handle_;
};

class Exchanger : public ::testing::Test {
protected:
    void make(TaskExchangeOptions options = {}) {
        auto exchanger = std::make_unique<TaskExchanger>([this] { return pipe; }, options);
        exchanger_ = exchanger.get();
        engine_.add("listener", std::make_unique<Listener>([this](const std::string& type, Context& context) {
                        if (on_event) on_event(type, context);
                    }));
        engine_.add("exchanger", std::move(exchanger));
        fire(event::kStartRun);
    }
    void fire(std::string_view type) {
        auto context = engine_.new_context();
        engine_.fire_event(std::string(type), context);
    }
    std::future<Shareable> start(const std::string& task = "train", Shareable input = {}) {
        return std::async(std::launch::async,
                          [this, task, input] { return exchanger_->execute(task, input, context_, abort_); });
    }
    /// The n-th message that was sent and is no heartbeat, from 0.
    PipeMessage sent(std::size_t number) {
        EXPECT_TRUE(pipe->wait_until([&] { return pipe->messages().size() > number; }));
        return pipe->messages().at(number);
    }
    static Shareable number(int value) {
        Shareable content;
        content.body = value;
        return content;
    }
    TaskExchanger& exchanger() { return *exchanger_; }

    std::shared_ptr<FakePipe> pipe = std::make_shared<FakePipe>();
    std::function<void(const std::string&, Context&)> on_event;
    Context context_;
    Signal abort_;

private:
    Engine engine_;
    TaskExchanger* exchanger_ = nullptr;
};

std::vector<std::string> topics_of(FakePipe& pipe) { return pipe.topics(); }

// ---- L8: defaults -----------------------------------------------------------------------------

TEST(L8_TaskExchangeOptions, Defaults) {
    const TaskExchangeOptions options;
    EXPECT_EQ(options.read, milliseconds(500));
    EXPECT_EQ(options.heartbeat_interval, milliseconds(5'000));
    EXPECT_EQ(options.peer_gone_after, milliseconds(60'000));
    EXPECT_EQ(options.resend_interval, milliseconds(2'000));
    EXPECT_EQ(options.task_taken_within, milliseconds(60'000));
    EXPECT_EQ(options.task_timeout, milliseconds(0));
    options.validate();
}

TEST(L8_TaskExchangeOptions, AllAttemptsTogetherTakeTheTimeThatAProgramHasToTakeATask) {
    for (const auto& [within, pause] : {std::pair{60'000, 2'000}, {10'000, 2'000}, {3'000, 1'000}, {60'000, 0}}) {
        TaskExchangeOptions options;
        options.task_taken_within = milliseconds(within);
        options.resend_interval = milliseconds(pause);
        const auto resends = options.handler_options().max_resends;
        const auto all = options.attempt() * (resends + 1) + options.resend_interval * resends;
        EXPECT_LE(all, options.task_taken_within);
        EXPECT_GT(all, options.task_taken_within - milliseconds(resends + 1));
    }
    EXPECT_GT(TaskExchangeOptions{}.handler_options().max_resends, 0);
}

std::string refusal_of(const TaskExchangeOptions& options) {
    try {
        options.validate();
    } catch (const ConfigurationError& error) {
        return error.what();
    }
    return {};
}

TEST(L8_TaskExchangeOptions, ContradictionsAreRefusedWithBothValues) {
    TaskExchangeOptions silence;
    silence.peer_gone_after = milliseconds(4'000);
    EXPECT_THAT(refusal_of(silence), testing::AllOf(HasSubstr("4000 ms"), HasSubstr("5000 ms")));
    silence.peer_gone_after = milliseconds(0);
    EXPECT_EQ(refusal_of(silence), "");
    TaskExchangeOptions resend;
    resend.task_taken_within = milliseconds(1'500);
    EXPECT_THAT(refusal_of(resend), testing::AllOf(HasSubstr("1500 ms"), HasSubstr("2000 ms")));
    TaskExchangeOptions negative;
    negative.task_timeout = milliseconds(-1);
    EXPECT_THAT(refusal_of(negative), HasSubstr("task_timeout is -1 ms"));
}

TEST(L8_TaskExchanger, ContradictionsAreRefusedBeforeAnythingIsOpened) {
    TaskExchangeOptions options;
    options.peer_gone_after = milliseconds(1);
    EXPECT_THROW(TaskExchanger([] { return std::shared_ptr<Pipe>(); }, options), ConfigurationError);
    EXPECT_THROW(TaskExchanger(nullptr), ConfigurationError);
}

// ---- L9: the pipe and its handlers ------------------------------------------------------------

class L9_TaskExchanger : public Exchanger {};

TEST_F(L9_TaskExchanger, ThePipeOpensWithTheRunAndClosesBeforeItsEnd) {
    make();
    EXPECT_EQ(pipe->opened, 1);
    EXPECT_FALSE(pipe->was_closed);
    auto reply = start();
    pipe->arrives(PipeMessage::reply_to(sent(0), number(1)));
    EXPECT_TRUE(reply.get().ok());
    fire(event::kAboutToEndRun);
    EXPECT_EQ(topics_of(*pipe).back(), kEndTopic);
    EXPECT_TRUE(pipe->was_closed);
    EXPECT_EQ(start().get().code, ReturnCode::not_ready);
}

TEST_F(L9_TaskExchanger, APipeThatCannotBeOpenedIsAPanicOfTheRun) {
    pipe->open_error = "no folder";
    std::string reason;
    on_event = [&](const std::string& type, Context& context) {
        if (type == event::kSystemPanic) reason = context.text_or("panic_reason", "");
    };
    make();
    EXPECT_EQ(reason, "no folder");
    EXPECT_EQ(start().get().code, ReturnCode::not_ready);
}

TEST_F(L9_TaskExchanger, ARunAfterTheFirstHasAPipeOfItsOwn) {
    make();
    fire(event::kAboutToEndRun);
    fire(event::kEndRun);
    pipe = std::make_shared<FakePipe>();
    fire(event::kStartRun);
    auto reply = start();
    pipe->arrives(PipeMessage::reply_to(sent(0), number(1)));
    EXPECT_TRUE(reply.get().ok());
}

TEST_F(L9_TaskExchanger, EachTaskStartsOnAnEmptiedPipe) {
    make();
    pipe->arrives(PipeMessage::end("of somebody before"));
    for (int round = 1; round <= 3; ++round) {
        auto reply = start();
        pipe->arrives(PipeMessage::reply_to(sent(static_cast<std::size_t>(round) - 1), number(round)));
        EXPECT_EQ(reply.get().body.integer_or(0), round);
        EXPECT_EQ(pipe->cleared, round);
    }
}

TEST_F(L9_TaskExchanger, NoFreshHandlerWhileATaskIsExecuting) {
    make();
    auto first = start();
    const auto request = sent(0);
    const auto second = start().get();
    EXPECT_EQ(second.code, ReturnCode::bad_request_data);
    EXPECT_EQ(pipe->cleared, 1);
    pipe->arrives(PipeMessage::reply_to(request, number(1)));
    EXPECT_TRUE(first.get().ok());
}

TEST_F(L9_TaskExchanger, AStatusBetweenTasksDoesNotEndTheNext) {
    make();
    auto first = start();
    pipe->arrives(PipeMessage::reply_to(sent(0), number(1)));
    EXPECT_TRUE(first.get().ok());
    pipe->arrives(PipeMessage::end("the first program has gone"));
    auto second = start();
    pipe->arrives(PipeMessage::reply_to(sent(1), number(2)));
    EXPECT_TRUE(second.get().ok());
}

TEST_F(L9_TaskExchanger, TheEndOfTheRunEndsATask) {
    make();
    auto reply = start();
    (void)sent(0);
    fire(event::kAboutToEndRun);
    EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
}

// ---- L10: execute -----------------------------------------------------------------------------

class L10_TaskExchanger : public Exchanger {};

TEST_F(L10_TaskExchanger, ATaskIsARequestAndItsResultTheReply) {
    make();
    auto reply = start("train", number(7));
    const auto request = sent(0);
    EXPECT_EQ(request.kind, PipeMessage::Kind::request);
    EXPECT_EQ(request.topic, "train");
    EXPECT_EQ(request.content.body, Value(7));
    pipe->arrives(PipeMessage::reply_to(request, number(8)));
    const auto result = reply.get();
    EXPECT_TRUE(result.ok());
    EXPECT_EQ(result.body, Value(8));
}

TEST_F(L10_TaskExchanger, BadInputIsBadTaskData) {
    make();
    for (const auto* name : {"", "no topic", "_ABORT_"}) {
        EXPECT_EQ(start(name).get().code, ReturnCode::bad_task_data) << name;
    }
    EXPECT_EQ(start("train", Shareable::failed(ReturnCode::task_aborted, "a reply")).get().code,
              ReturnCode::bad_task_data);
    pipe->encode_error = "over the limit";
    const auto reply = start().get();
    EXPECT_EQ(reply.code, ReturnCode::bad_task_data);
    EXPECT_THAT(reply.failure->message, HasSubstr("over the limit"));
    EXPECT_EQ(pipe->attempts, 0);
}

TEST_F(L10_TaskExchanger, ATaskThatIsNotTakenIsAnException) {
    TaskExchangeOptions options;
    options.task_taken_within = milliseconds(60);
    options.resend_interval = milliseconds(0);
    make(options);
    pipe->hangs = true;
    const auto reply = start().get();
    EXPECT_EQ(reply.code, ReturnCode::execution_exception);
    EXPECT_THAT(reply.failure->message, testing::AllOf(HasSubstr("not taken"), HasSubstr("task_taken_within")));
    EXPECT_EQ(reply.failure->task, "train");
}

TEST_F(L10_TaskExchanger, ATaskThatIsNotTakenIsSentAgainWhereThePipeCan) {
    make();
    pipe->outcome = [](int attempt) -> Pipe::Result {
        if (attempt == 0) return tl::unexpected(PipeError{PipeError::Kind::not_taken, "busy"});
        return {};
    };
    auto reply = start();
    const auto request = sent(1);
    EXPECT_EQ(request.id, sent(0).id);
    pipe->arrives(PipeMessage::reply_to(request, number(1)));
    EXPECT_TRUE(reply.get().ok());
}

TEST_F(L10_TaskExchanger, AnAbortTellsTheProgramAndIsTheReply) {
    make();
    auto reply = start();
    (void)sent(0);
    abort_.trigger("enough");
    const auto result = reply.get();
    EXPECT_EQ(result.code, ReturnCode::task_aborted);
    EXPECT_EQ(result.failure->message, "enough");
    EXPECT_EQ(topics_of(*pipe).back(), kAbortTopic);
    const int heartbeats = pipe->heartbeats;
    EXPECT_EQ(start().get().code, ReturnCode::task_aborted) << "aborted before";
    EXPECT_EQ(pipe->heartbeats, heartbeats);
}

TEST_F(L10_TaskExchanger, AnAbortWhileTheTaskIsHandedOver) {
    make();
    pipe->hangs = true;
    auto reply = start();
    EXPECT_TRUE(pipe->wait_until([this] { return pipe->attempts > 0; }));
    pipe->hangs = false;
    abort_.trigger("enough");
    EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
}

TEST_F(L10_TaskExchanger, OneTasksAbortDoesNotPoisonTheNext) {
    make();
    auto first = start();
    const auto old = sent(0);
    abort_.trigger("enough");
    EXPECT_EQ(first.get().code, ReturnCode::task_aborted);
    abort_ = Signal();
    auto second = start();
    const auto request = sent(2);
    EXPECT_EQ(request.topic, "train");
    // The program's late answer to the first, and then the right one.
    pipe->arrives(PipeMessage::reply_to(old, number(1)));
    pipe->arrives(PipeMessage::reply_to(request, number(2)));
    EXPECT_EQ(second.get().body, Value(2));
}

TEST_F(L10_TaskExchanger, AProgramThatEndsOrAbortsOrIsGoneAbortsTheTask) {
    make();
    std::size_t number = 0;
    for (const auto& [last, why] : {std::pair{PipeMessage::end("done"), "ended the exchange (done)"},
                                    {PipeMessage::abort("no"), "aborted the exchange (no)"}}) {
        auto reply = start();
        (void)sent(number);
        ++number;
        pipe->arrives(last);
        const auto result = reply.get();
        EXPECT_EQ(result.code, ReturnCode::task_aborted);
        EXPECT_THAT(result.failure->message, HasSubstr(why));
    }
    auto reply = start();
    (void)sent(number);
    pipe->arrives(tl::unexpected(PipeError{PipeError::Kind::broken, "the peer has closed it"}));
    const auto result = reply.get();
    EXPECT_EQ(result.code, ReturnCode::task_aborted);
    EXPECT_THAT(result.failure->message, HasSubstr("gone"));
}

TEST_F(L10_TaskExchanger, ASilentProgramIsGone) {
    TaskExchangeOptions options;
    options.heartbeat_interval = milliseconds(10);
    options.peer_gone_after = milliseconds(80);
    make(options);
    auto reply = start();
    const auto result = reply.get();
    EXPECT_EQ(result.code, ReturnCode::task_aborted);
    EXPECT_THAT(result.failure->message, HasSubstr("peer_gone_after"));
}

TEST_F(L10_TaskExchanger, ALateResultIsAnExceptionAndTheProgramIsTold) {
    TaskExchangeOptions options;
    options.task_timeout = milliseconds(50);
    make(options);
    const auto result = start().get();
    EXPECT_EQ(result.code, ReturnCode::execution_exception);
    EXPECT_THAT(result.failure->message, HasSubstr("within 50 ms (task_timeout)"));
    EXPECT_EQ(topics_of(*pipe).back(), kAbortTopic);
}

TEST_F(L10_TaskExchanger, RepliesToSomethingElseAreIgnored) {
    make();
    auto reply = start();
    const auto request = sent(0);
    auto wrong_topic = PipeMessage::reply_to(request, number(1));
    wrong_topic.topic = "validate";
    auto wrong_request = PipeMessage::reply_to(request, number(2));
    wrong_request.request_id = std::string(32, '0');
    pipe->arrives(wrong_topic);
    pipe->arrives(wrong_request);
    auto wrong_kind = PipeMessage::reply_to(request, number(3));
    wrong_kind.kind = PipeMessage::Kind::request;
    pipe->arrives(wrong_kind);
    pipe->arrives(PipeMessage::reply_to(request, number(4)));
    EXPECT_EQ(reply.get().body, Value(4));
}

TEST_F(L10_TaskExchanger, AResultThatIsNoMessageIsAnException) {
    make();
    auto reply = start();
    (void)sent(0);
    pipe->arrives(tl::unexpected(PipeError{PipeError::Kind::bad_message, "rubbish"}));
    const auto result = reply.get();
    EXPECT_EQ(result.code, ReturnCode::execution_exception);
    EXPECT_THAT(result.failure->message, HasSubstr("rubbish"));
}

TEST_F(L10_TaskExchanger, AReplyThatOvertakesItsReceiptCounts) {
    make();
    pipe->outcome = [this](int attempt) -> Pipe::Result {
        if (attempt != 0) return {};
        pipe->arrives(PipeMessage::reply_to(pipe->messages().at(0), number(5)));
        EXPECT_TRUE(pipe->wait_until([this] { return pipe->all_read(); }));
        return tl::unexpected(PipeError{PipeError::Kind::broken, "closed"});
    };
    EXPECT_EQ(start().get().body, Value(5));
}

// ---- what the program logs --------------------------------------------------------------------

TEST_F(L10_TaskExchanger, WhatTheProgramLogsIsFiredAsAnEventOfRank0BeforeTheResultCounts) {
    std::vector<std::string> seen;
    on_event = [&](const std::string& type, Context& context) {
        const auto metric = context.get("metric");
        if (!metric) return;
        seen.push_back(type + " " + std::to_string(context.integer_or(property::kFromRank, -1)) + " " +
                       to_json(*metric) + " " + context.text_or("mine", ""));
        context.set("heard", true);
    };
    make();
    context_.set("mine", "of the task");
    auto reply = start();
    const auto request = sent(0);
    exchange::ProgramLog log;
    log.figures["loss"] = 0.5;
    pipe->arrives(log.to_message());
    log.type = "progress";
    pipe->arrives(log.to_message());
    pipe->arrives(PipeMessage::reply_to(request, number(1)));
    EXPECT_TRUE(reply.get().ok());
    EXPECT_EQ(seen, (std::vector<std::string>{R"(metric 0 {"loss":0.5} of the task)",
                                              R"(progress 0 {"loss":0.5} of the task)"}));
    EXPECT_EQ(context_.get("heard"), Value(true));
    EXPECT_EQ(context_.get("metric"), std::nullopt);
}

TEST_F(L10_TaskExchanger, AProgramFiresNoEventOfTheRunItself) {
    int ends = 0;
    on_event = [&](const std::string& type, Context&) { ends += type == event::kEndRun ? 1 : 0; };
    make();
    auto reply = start();
    const auto request = sent(0);
    exchange::ProgramLog log;
    log.type = std::string(event::kEndRun);
    log.figures["loss"] = 0.5;
    pipe->arrives(log.to_message());
    pipe->arrives(PipeMessage::reply_to(request, number(1)));
    EXPECT_TRUE(reply.get().ok());
    EXPECT_EQ(ends, 0);
}

TEST_F(L10_TaskExchanger, AHandlerOfALogCannotExecuteAndMayEndTheRun) {
    ReturnCode nested = ReturnCode::ok;
    on_event = [&](const std::string& type, Context& context) {
        if (type != "metric") return;
        nested = exchanger().execute("train", {}, context, {}).code;
        exchanger().finalise();
    };
    make();
    auto reply = start();
    (void)sent(0);
    exchange::ProgramLog log;
    log.figures["loss"] = 0.5;
    pipe->arrives(log.to_message());
    EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
    EXPECT_EQ(nested, ReturnCode::bad_request_data);
}

}  // namespace
}  // namespace rankexec::test
