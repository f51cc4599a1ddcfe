// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/pipe/pipe_handler.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <future>
#include <thread>

#include "fake_pipe.hpp"
#include "forms.hpp"
#include "peer_process.hpp"
#include "rankexec/core/component/configuration_error.hpp"

namespace rankexec::test {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

PipeError not_taken() { return {PipeError::Kind::not_taken, "nobody"}; }

/// Where time does not matter.
PipeHandlerOptions patient() {
    PipeHandlerOptions options;
    options.heartbeat_interval = milliseconds(100'000);
    options.peer_gone_after = milliseconds(0);
    options.resend_interval = milliseconds(1);
    return options;
}

class Handler : public ::testing::Test {
protected:
    void make(const PipeHandlerOptions& options, bool with_status = true, bool with_message = true) {
        handler = std::make_unique<PipeHandler>(pipe, options);
        if (with_status) handler->on_status([this](PipeMessage&& message) { note(statuses, std::move(message)); });
        if (with_message) handler->on_message([this](PipeMessage&& message) { note(messages, std::move(message)); });
    }
    void note(std::vector<PipeMessage>& where, PipeMessage&& message) {
        {
            const std::lock_guard lock(mutex);
            where.push_back(std::move(message));
        }
        pipe->wake();
    }
    std::size_t count(const std::vector<PipeMessage>& where) {
        const std::lock_guard lock(mutex);
        return where.size();
    }
    bool wait_for_status() {
        return pipe->wait_until([this] { return count(statuses) > 0; });
    }

    std::shared_ptr<FakePipe> pipe = std::make_shared<FakePipe>();
    std::mutex mutex;
    std::vector<PipeMessage> statuses;
    std::vector<PipeMessage> messages;
    std::unique_ptr<PipeHandler> handler;  // last: its threads use the others
};

// ---- L4: time-outs ----------------------------------------------------------------------------

class L4_PipeHandler : public Handler {};

TEST_F(L4_PipeHandler, Defaults) {
    const PipeHandlerOptions options;
    EXPECT_EQ(options.read, milliseconds(100));
    EXPECT_EQ(options.heartbeat_interval, milliseconds(5'000));
    EXPECT_EQ(options.peer_gone_after, milliseconds(30'000));
    EXPECT_EQ(options.resend_interval, milliseconds(2'000));
    EXPECT_EQ(options.request_timeout, milliseconds(5'000));
    EXPECT_EQ(options.max_resends, 5);
    EXPECT_NO_THROW(options.validate());
}

std::string refusal(const std::function<void(PipeHandlerOptions&)>& change) {
    PipeHandlerOptions options;
    change(options);
    try {
        const PipeHandler handler(std::make_shared<FakePipe>(), options);
    } catch (const ConfigurationError& error) {
        return error.what();
    }
    return "";
}

TEST_F(L4_PipeHandler, ContradictionsAreRefusedWithBothValues) {
    for (const int limit : {1, 4'999, 5'000}) {
        const auto text = refusal([&](auto& options) { options.peer_gone_after = milliseconds(limit); });
        EXPECT_THAT(text, HasSubstr("peer_gone_after is " + std::to_string(limit) + " ms"));
        EXPECT_THAT(text, HasSubstr("heartbeat_interval 5000 ms"));
    }
    EXPECT_EQ(refusal([](auto& options) { options.peer_gone_after = milliseconds(5'001); }), "");
    EXPECT_EQ(refusal([](auto& options) { options.peer_gone_after = milliseconds(0); }), "");
    EXPECT_EQ(refusal([](auto& options) { options.resend_interval = milliseconds(0); }), "");
    EXPECT_EQ(refusal([](auto& options) { options.max_resends = 0; }), "");
    EXPECT_THAT(refusal([](auto& options) { options.read = milliseconds(0); }), HasSubstr("read is 0 ms"));
    EXPECT_THAT(refusal([](auto& options) { options.heartbeat_interval = milliseconds(0); }),
                HasSubstr("heartbeat_interval is 0 ms"));
    EXPECT_THAT(refusal([](auto& options) { options.peer_gone_after = milliseconds(-1); }),
                HasSubstr("peer_gone_after is -1 ms"));
    EXPECT_THAT(refusal([](auto& options) { options.resend_interval = milliseconds(-1); }),
                HasSubstr("resend_interval is -1 ms"));
    EXPECT_THAT(refusal([](auto& options) { options.request_timeout = milliseconds(0); }),
                HasSubstr("request_timeout is 0 ms"));
    EXPECT_THAT(refusal([](auto& options) { options.notify_timeout = milliseconds(0); }),
                HasSubstr("notify_timeout is 0 ms"));
    EXPECT_THAT(refusal([](auto& options) { options.max_resends = -1; }), HasSubstr("max_resends is -1"));
}

TEST_F(L4_PipeHandler, ReadIsHowOftenAPipeWithoutEventsLooks) {
    make(patient());
    EXPECT_EQ(pipe->look_interval, 100);
}

TEST_F(L4_PipeHandler, HeartbeatsGoOnWhateverCallbacksDo) {
    auto options = patient();
    options.heartbeat_interval = milliseconds(1);
    handler = std::make_unique<PipeHandler>(pipe, options);
    std::promise<void> release;
    std::promise<void> entered;
    handler->on_message([&](PipeMessage&&) {
        entered.set_value();
        release.get_future().wait();
    });
    handler->start();
    pipe->arrives(numbered(1));
    entered.get_future().wait();
    const int before = pipe->heartbeats;
    EXPECT_TRUE(pipe->wait_until([&] { return pipe->heartbeats > before + 20; }));
    release.set_value();
    handler->stop(false);
}

TEST_F(L4_PipeHandler, ASilentPeerIsGone) {
    auto options = patient();
    options.heartbeat_interval = milliseconds(10);
    options.peer_gone_after = milliseconds(50);
    make(options);
    handler->start();
    ASSERT_TRUE(wait_for_status());
    EXPECT_EQ(statuses[0].topic, kPeerGoneTopic);
    EXPECT_THAT(statuses[0].reason(), HasSubstr("50 ms (peer_gone_after)"));
}

TEST_F(L4_PipeHandler, WithoutALimitNobodyIsEverGone) {
    make(patient());
    handler->start();
    EXPECT_FALSE(pipe->wait_until([this] { return count(statuses) > 0; }, milliseconds(100)));
}

TEST_F(L4_PipeHandler, WhatCameDuringALongCallbackIsLife) {
    auto options = patient();
    options.heartbeat_interval = milliseconds(10);
    options.peer_gone_after = milliseconds(2000);
    handler = std::make_unique<PipeHandler>(pipe, options);
    handler->on_status([this](PipeMessage&& message) { note(statuses, std::move(message)); });
    handler->on_message([&](PipeMessage&& message) {
        if (number_of(message) == 1) {
            pipe->arrives(PipeMessage::heartbeat());
            pipe->arrives(numbered(2));
            std::this_thread::sleep_for(milliseconds(2200));  // longer than the peer may be silent
        }
        note(messages, std::move(message));
    });
    handler->start();
    pipe->arrives(numbered(1));
    EXPECT_TRUE(pipe->wait_until([this] { return count(messages) == 2; }));
    EXPECT_EQ(count(statuses), 0U);
}

// ---- L5: sending again ------------------------------------------------------------------------

class L5_PipeHandler : public Handler {
protected:
    void SetUp() override {
        pipe->outcome = [](int) { return tl::unexpected(not_taken()); };
    }
};

TEST_F(L5_PipeHandler, NResendsAreNPlusOneAttempts) {
    for (const int resends : {0, 1, 5}) {
        auto options = patient();
        options.max_resends = resends;
        make(options);
        pipe->attempts = 0;
        pipe->encoded = 0;
        EXPECT_EQ(kind_of(handler->send(numbered(1), milliseconds(7))), "not_taken");
        EXPECT_EQ(pipe->attempts, resends + 1);
        EXPECT_EQ(pipe->encoded, 1) << "encoded once, however often sent";
    }
    EXPECT_THAT(pipe->timeouts(), ::testing::Each(milliseconds(7)));
}

TEST_F(L5_PipeHandler, TheFirstSuccessIsTheLastAttempt) {
    pipe->outcome = [](int attempt) -> Pipe::Result {
        if (attempt < 2) return tl::unexpected(not_taken());
        return {};
    };
    make(patient());
    EXPECT_EQ(kind_of(handler->send(numbered(1), milliseconds(7))), "");
    EXPECT_EQ(pipe->attempts, 3);
}

TEST_F(L5_PipeHandler, WithoutATimeOutThereIsOneAttempt) {
    make(patient());
    EXPECT_EQ(kind_of(handler->send(numbered(1))), "not_taken");
    EXPECT_EQ(pipe->timeouts(), std::vector{milliseconds(5000)}) << "request_timeout";
}

TEST_F(L5_PipeHandler, APipeThatCannotResendGetsOneAttempt) {
    pipe->resends = false;
    make(patient());
    EXPECT_EQ(kind_of(handler->send(numbered(1), milliseconds(7))), "not_taken");
    EXPECT_EQ(pipe->attempts, 1);
}

TEST_F(L5_PipeHandler, WithoutAnIntervalThereIsOneAttempt) {
    auto options = patient();
    options.resend_interval = milliseconds(0);
    make(options);
    EXPECT_EQ(kind_of(handler->send(numbered(1), milliseconds(7))), "not_taken");
    EXPECT_EQ(pipe->attempts, 1);
}

TEST_F(L5_PipeHandler, ABrokenPipeIsNotTriedAgain) {
    pipe->outcome = [](int) { return tl::unexpected(PipeError{PipeError::Kind::broken, "gone"}); };
    make(patient());
    EXPECT_EQ(kind_of(handler->send(numbered(1), milliseconds(7))), "broken");
    EXPECT_EQ(pipe->attempts, 1);
}

TEST_F(L5_PipeHandler, AbortAndStopEndTheWaitBetweenAttempts) {
    auto options = patient();
    options.resend_interval = milliseconds(100'000);
    make(options);
    Signal abort;
    auto sending = std::async(std::launch::async, [&] { return handler->send(numbered(1), milliseconds(7), abort); });
    EXPECT_TRUE(pipe->wait_until([&] { return pipe->attempts == 1; }));
    abort.trigger("enough");
    const auto sent = sending.get();
    EXPECT_EQ(kind_of(sent), "cancelled");
    EXPECT_THAT(sent.error().message, HasSubstr("enough"));
    sending = std::async(std::launch::async, [&] { return handler->send(numbered(1), milliseconds(7)); });
    EXPECT_TRUE(pipe->wait_until([&] { return pipe->attempts == 2; }));
    handler->stop(false);
    EXPECT_EQ(kind_of(sending.get()), "cancelled");
}

TEST_F(L5_PipeHandler, AbortAndStopEndAnAttempt) {
    pipe->hangs = true;
    make(patient());
    Signal abort;
    auto sending = std::async(std::launch::async, [&] { return handler->send(numbered(1), kLong, abort); });
    EXPECT_TRUE(pipe->wait_until([&] { return pipe->attempts == 1; }));
    abort.trigger("enough");
    EXPECT_EQ(kind_of(sending.get()), "cancelled");
    sending = std::async(std::launch::async, [&] { return handler->send(numbered(1), kLong); });
    EXPECT_TRUE(pipe->wait_until([&] { return pipe->attempts == 2; }));
    handler->stop(false);
    EXPECT_EQ(kind_of(sending.get()), "cancelled");
    EXPECT_EQ(kind_of(handler->send(numbered(1), kLong)), "cancelled") << "after stop nothing is tried";
    EXPECT_EQ(pipe->attempts, 2);
}

// ---- L6: who gets what ------------------------------------------------------------------------

class L6_PipeHandler : public Handler {};

TEST_F(L6_PipeHandler, EndAndAbortGoToTheStatusCallbackAndEndTheReader) {
    for (const auto& last : {PipeMessage::end("done"), PipeMessage::abort("why")}) {
        pipe = std::make_shared<FakePipe>();
        statuses.clear();
        messages.clear();
        make(patient());
        handler->start();
        pipe->arrives(numbered(1));
        pipe->arrives(last);
        pipe->arrives(numbered(2));
        ASSERT_TRUE(wait_for_status());
        EXPECT_EQ(handler->next(kLong), std::nullopt) << "the reader has ended";
        EXPECT_EQ(statuses, std::vector{last});
        ASSERT_EQ(messages.size(), 1U);
        EXPECT_EQ(number_of(messages[0]), 1);
        const auto left = pipe->receive(milliseconds(0), {});
        ASSERT_TRUE(left && *left) << "nothing is read after it";
        handler.reset();
    }
}

TEST_F(L6_PipeHandler, ABrokenPipeIsAPeerThatIsGone) {
    make(patient());
    handler->start();
    pipe->arrives(tl::unexpected(PipeError{PipeError::Kind::broken, "the folder is gone"}));
    ASSERT_TRUE(wait_for_status());
    EXPECT_EQ(statuses[0].topic, kPeerGoneTopic);
    EXPECT_EQ(statuses[0].reason(), "the folder is gone");
}

TEST_F(L6_PipeHandler, AfterStopNobodyIsGone) {
    for (int round = 0; round < 50; ++round) {
        pipe = std::make_shared<FakePipe>();
        make(patient());
        handler->start();
        handler->stop(true);
        EXPECT_TRUE(pipe->was_closed);
        EXPECT_EQ(count(statuses), 0U);
        handler.reset();
    }
}

TEST_F(L6_PipeHandler, WithoutCallbacksEverythingIsQueuedInOrder) {
    make(patient(), false, false);
    handler->start();
    EXPECT_EQ(handler->next(milliseconds(10)), std::nullopt);
    for (int number = 0; number < 10; ++number) pipe->arrives(numbered(number));
    pipe->arrives(PipeMessage::heartbeat());
    pipe->arrives(PipeMessage::end("done"));
    for (int number = 0; number < 10; ++number) {
        const auto message = handler->next(kLong);
        ASSERT_TRUE(message);
        EXPECT_EQ(number_of(*message), number);
    }
    const auto last = handler->next(kLong);
    ASSERT_TRUE(last);
    EXPECT_EQ(last->reason(), "done");
    EXPECT_EQ(handler->next(kLong), std::nullopt);
}

TEST_F(L6_PipeHandler, EachCallbackTakesItsOwnOnly) {
    make(patient(), true, false);
    handler->start();
    pipe->arrives(numbered(1));
    pipe->arrives(PipeMessage::end("done"));
    ASSERT_TRUE(wait_for_status());
    EXPECT_EQ(number_of(handler->next(kLong).value()), 1);
    handler.reset();
    pipe = std::make_shared<FakePipe>();
    make(patient(), false, true);
    handler->start();
    pipe->arrives(numbered(2));
    pipe->arrives(PipeMessage::end("done"));
    EXPECT_EQ(handler->next(kLong).value().reason(), "done");
    EXPECT_EQ(number_of(messages.at(0)), 2);
}

TEST_F(L6_PipeHandler, WhatIsNoMessageIsLoggedAndTheReadingGoesOn) {
    make(patient());
    handler->start();
    pipe->arrives(tl::unexpected(PipeError{PipeError::Kind::bad_message, "rubbish"}));
    pipe->arrives(numbered(1));
    EXPECT_TRUE(pipe->wait_until([this] { return count(messages) == 1; }));
    EXPECT_EQ(count(statuses), 0U);
}

TEST_F(L6_PipeHandler, WhatArrivesIsSeenFirstAndMayBeThrownAway) {
    const auto from = [](const char* session, PipeMessage message) {
        message.session = session;
        return message;
    };
    std::vector<std::string> arrived;
    handler = std::make_unique<PipeHandler>(pipe, patient());
    handler->on_status([this](PipeMessage&& message) { note(statuses, std::move(message)); });
    handler->on_message([this](PipeMessage&& message) { note(messages, std::move(message)); });
    handler->on_arrival([&](const PipeMessage& message) {
        arrived.push_back(message.topic);
        return message.session != "stranger";
    });
    handler->start();
    pipe->arrives(PipeMessage::heartbeat());
    pipe->arrives(from("stranger", numbered(1)));
    pipe->arrives(from("stranger", PipeMessage::end("not ours")));
    pipe->arrives(from("peer", numbered(2)));
    pipe->arrives(from("peer", PipeMessage::end("done")));
    ASSERT_TRUE(wait_for_status());
    EXPECT_EQ(arrived, (std::vector<std::string>{"_HEARTBEAT_", "count", "_END_", "count", "_END_"}));
    ASSERT_EQ(count(messages), 1U);
    EXPECT_EQ(number_of(messages.at(0)), 2);
    EXPECT_EQ(statuses.at(0).reason(), "done");
}

TEST_F(L6_PipeHandler, WhatIsNoMessageIsTold) {
    std::string told;
    handler = std::make_unique<PipeHandler>(pipe, patient());
    handler->on_message([this](PipeMessage&& message) { note(messages, std::move(message)); });
    handler->on_bad([&](const std::string& what) { told = what; });
    handler->start();
    pipe->arrives(tl::unexpected(PipeError{PipeError::Kind::bad_message, "rubbish"}));
    pipe->arrives(numbered(1));
    EXPECT_TRUE(pipe->wait_until([this] { return count(messages) == 1; }));
    EXPECT_EQ(told, "rubbish");
}

TEST_F(L6_PipeHandler, ACallbackThatThrowsDoesNotEndTheReading) {
    handler = std::make_unique<PipeHandler>(pipe, patient());
    handler->on_message([this](PipeMessage&& message) {
        const int number = number_of(message);
        note(messages, std::move(message));
        if (number == 1) throw std::runtime_error("user code");
        if (number == 2) throw 2;
    });
    handler->start();
    for (int number = 1; number <= 3; ++number) pipe->arrives(numbered(number));
    EXPECT_TRUE(pipe->wait_until([this] { return count(messages) == 3; }));
}

TEST_F(L6_PipeHandler, StopFromACallbackReturns) {
    handler = std::make_unique<PipeHandler>(pipe, patient());
    handler->on_status([this](PipeMessage&& message) {
        handler->stop(false);
        note(statuses, std::move(message));
    });
    handler->start();
    pipe->arrives(PipeMessage::abort(""));
    EXPECT_TRUE(wait_for_status());
    handler->stop(false);
}

TEST_F(L6_PipeHandler, AFullQueueStopsTheReaderAndStopEndsIt) {
    make(patient(), false, false);
    handler->start();
    for (std::size_t number = 0; number < PipeHandler::kQueued + 5; ++number) {
        pipe->arrives(numbered(static_cast<int>(number)));
    }
    for (std::size_t number = 0; number < PipeHandler::kQueued + 5; ++number) {
        ASSERT_EQ(number_of(handler->next(kLong).value()), static_cast<int>(number));
    }
    for (std::size_t number = 0; number < PipeHandler::kQueued + 5; ++number) pipe->arrives(numbered(0));
    handler->stop(false);
}

// ---- L7: telling the peer, pausing ------------------------------------------------------------

class L7_PipeHandler : public Handler {};

TEST_F(L7_PipeHandler, TellingThePeerIsBoundedAndBestEffort) {
    auto options = patient();
    options.notify_timeout = milliseconds(17);
    make(options);
    EXPECT_TRUE(handler->notify_end("done"));
    EXPECT_TRUE(handler->notify_abort("why"));
    EXPECT_EQ(pipe->topics(), (std::vector<std::string>{std::string(kEndTopic), std::string(kAbortTopic)}));
    EXPECT_THAT(pipe->timeouts(), ::testing::Each(milliseconds(17)));
    pipe->hangs = true;
    EXPECT_FALSE(handler->notify_end("nobody listens"));
    pipe->hangs = false;
    pipe->outcome = [](int) -> Pipe::Result { throw std::runtime_error("no memory"); };
    EXPECT_FALSE(handler->notify_abort("no exception comes out"));
}

TEST_F(L7_PipeHandler, ThePeerCanBeToldAfterStop) {
    make(patient());
    handler->start();
    handler->stop(false);
    EXPECT_TRUE(handler->notify_end("done"));
}

TEST_F(L7_PipeHandler, PausingStopsTheJudgingButNotTheReading) {
    auto options = patient();
    options.heartbeat_interval = milliseconds(10);
    options.peer_gone_after = milliseconds(50);
    make(options);
    handler->pause();
    handler->start();
    handler->pause();
    EXPECT_FALSE(pipe->wait_until([this] { return count(statuses) > 0; }, milliseconds(200)));
    // A trainer that exits right after its result: the result is not lost.
    pipe->arrives(numbered(1));
    EXPECT_TRUE(pipe->wait_until([this] { return count(messages) == 1; }));
    pipe->arrives(PipeMessage::end("done"));
    ASSERT_TRUE(wait_for_status());
    EXPECT_EQ(statuses[0].reason(), "done");
}

TEST_F(L7_PipeHandler, PausingStopsNoHeartbeats) {
    auto options = patient();
    options.heartbeat_interval = milliseconds(1);
    make(options);
    handler->start();
    handler->pause();
    const int before = pipe->heartbeats;
    EXPECT_TRUE(pipe->wait_until([&] { return pipe->heartbeats > before + 5; }));
}

TEST_F(L7_PipeHandler, ResumingStartsThePeersTimeAnew) {
    auto options = patient();
    options.heartbeat_interval = milliseconds(10);
    options.peer_gone_after = milliseconds(3000);
    make(options);
    handler->start();
    handler->pause();
    std::this_thread::sleep_for(milliseconds(3300));  // longer than the peer may be silent
    handler->resume();
    // Makes the reader judge at once, and is no sign of life.
    pipe->arrives(tl::unexpected(PipeError{PipeError::Kind::bad_message, "rubbish"}));
    EXPECT_FALSE(pipe->wait_until([this] { return count(statuses) > 0; }, milliseconds(300)));
}

// ---- on pipes of every form -------------------------------------------------------------------

class L6_PipeHandlers : public ::testing::TestWithParam<Form> {
protected:
    static std::shared_ptr<Pipe> shared(std::unique_ptr<Pipe>& pipe) { return {std::move(pipe)}; }
    Ends ends{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(, L6_PipeHandlers, ::testing::ValuesIn(all_forms()), form_name);

TEST_P(L6_PipeHandlers, TwoOfThemExchangeRequestRepliesAndTheEnd) {
    ends.open();
    PipeHandlerOptions options;
    options.heartbeat_interval = milliseconds(20);
    PipeHandler exchanger(shared(ends.passive), options);
    PipeHandler agent(shared(ends.active), options);
    agent.on_message([&](PipeMessage&& message) {
        EXPECT_EQ(kind_of(agent.send(PipeMessage::reply_to(message, message.content), kLong)), "");
    });
    std::promise<std::string> ended;
    agent.on_status([&](PipeMessage&& message) { ended.set_value(message.reason()); });
    exchanger.start();
    agent.start();
    for (int number = 0; number < 20; ++number) {
        const auto request = numbered(number);
        ASSERT_EQ(kind_of(exchanger.send(request, kLong)), "");
        const auto reply = exchanger.next(kLong);
        ASSERT_TRUE(reply);
        EXPECT_EQ(reply->request_id, request.id);
        EXPECT_EQ(number_of(*reply), number);
    }
    EXPECT_TRUE(exchanger.notify_end("done"));
    EXPECT_EQ(ended.get_future().get(), "done");
    exchanger.stop(true);
    agent.stop(true);
}

TEST_P(L6_PipeHandlers, APeerThatIsKilledIsGone) {
    ends.open_passive();
    auto arguments = ends.peer_arguments(PipeMode::active);
    arguments.emplace_back("echo");
    PeerProcess echo(arguments);
    EXPECT_EQ(echo.line(), "open 0");
    PipeHandlerOptions options;
    options.heartbeat_interval = milliseconds(20);
    options.peer_gone_after = milliseconds(1000);
    PipeHandler handler(shared(ends.passive), options);
    handler.start();
    ASSERT_EQ(kind_of(handler.send(numbered(1), kLong)), "");
    echo.kill();
    std::optional<PipeMessage> message;
    do message = handler.next(kLong);
    while (message && !message->is_status());
    ASSERT_TRUE(message);
    EXPECT_EQ(message->topic, kPeerGoneTopic);
    handler.stop(true);
}

}  // namespace
}  // namespace rankexec::test
