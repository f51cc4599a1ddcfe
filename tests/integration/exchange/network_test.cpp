// SPDX-License-Identifier: Apache-2.0
// Two hosts, and the network between them is cut: for shorter and for longer than each time-out. Runs within
// tests/support/netns/with_two_hosts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "rankexec/ipc/pipe/zeromq_pipe.hpp"
#include "support/netns/two_hosts.hpp"
#include "unit/exchange/child.hpp"
#include "unit/exchange/ends.hpp"

namespace rankexec::test {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// An agent on the second host, and an exchanger here.
class Network : public Exchange {
protected:
    void SetUp() override { address = variable("TWO_HOSTS_SECOND") + ":7100"; }
    void start_agent(const std::vector<std::string>& more = {}) {
        std::vector<std::string> arguments{RANKEXEC_EXCHANGE_PEER, "agent",        "base=" + base.path(),
                                           "address=" + address,   "key=" + key(), "connection_timeout=0",
                                           "resend_interval=50"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        agent = on_second_host(arguments);
        ASSERT_EQ(agent->line(), "agent up");
    }
    IpcExchangerOptions over_tcp() const {
        auto options = exchanger_options();
        options.address = address;
        options.key_file = key();
        options.heartbeat_interval = milliseconds(50);
        options.send_timeout = milliseconds(100);
        return options;
    }
    [[nodiscard]] std::string key() const { return base.path() + "/key"; }
    static Shareable numbers(int number) {
        Shareable input;
        input.body["number"] = number;
        input.body["nonce"] = 7;
        return input;
    }
    static std::int64_t sum_of(const Shareable& reply) {
        EXPECT_TRUE(reply.ok()) << (reply.failure ? reply.failure->message : "");
        const auto* const sum = reply.body.find("sum");
        return sum != nullptr ? sum->integer_or(-1) : -1;
    }

    std::string address;
    std::unique_ptr<Child> agent;
};

/// For so long the network is cut: shorter and longer than a heartbeat, the wait for an answer, the patience of a
/// submission, and that with a silent agent.
class I3_NetworkCut : public Network, public ::testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(, I3_NetworkCut, ::testing::Values(20, 80, 200, 500, 1500),
                         [](const auto& length) { return "For_" + std::to_string(length.param) + "_ms"; });

TEST_P(I3_NetworkCut, CostsNoTaskAndDoublesNone) {
    const milliseconds length(GetParam());
    start_agent({"work=60", "submit_timeout=300"});
    auto options = over_tcp();
    options.disconnected_after = milliseconds(1000);
    begin(options);
    EXPECT_EQ(sum_of(execute("add", numbers(1)).get()), 8);
    std::future<Shareable> reply;
    {
        // While it is to be sent.
        const Cut cut;
        reply = execute("add", numbers(2));
        std::this_thread::sleep_for(length);
    }
    EXPECT_EQ(sum_of(reply.get()), 9);
    reply = execute("add", numbers(3));
    EXPECT_THAT(agent->line_with("got 3"), StartsWith("got 3"));
    {
        // While it is worked on, and submitted.
        const Cut cut;
        std::this_thread::sleep_for(length);
    }
    EXPECT_EQ(sum_of(reply.get()), 10);
    EXPECT_THAT(agent->line_with("ok 3"), StartsWith("ok 3")) << "the agent knows";
    EXPECT_EQ(exchanger->report().attempts, 3U) << "one for each task: it was the same process all the time";
    EXPECT_EQ(recorder->count("system_panic"), 0);
    exchanger->finalise();
    EXPECT_EQ(agent->wait(), 0) << "after the bye";
}

class I3_NetworkDead : public Network {};

TEST_F(I3_NetworkDead, LongerThanTheDeadTimeOutEndsTheTaskAndPanicsOnce) {
    start_agent({"work=100000"});
    auto options = over_tcp();
    options.disconnected_after = milliseconds(300);
    options.dead_after = milliseconds(600);
    begin(options);
    auto reply = execute("add", numbers(1));
    EXPECT_NE(agent->line_with("got 1"), "");
    {
        const Cut cut;
        const auto failed = reply.get();
        EXPECT_EQ(failed.code, ReturnCode::execution_exception);
        EXPECT_THAT(failed.failure->message, HasSubstr("has not been there for 600 ms"));
        (void)recorder->expect("system_panic");
    }
    wait_for(ExchangerState::idle);
    EXPECT_EQ(recorder->count("system_panic"), 1);
}

class I5_NetworkSubmit : public Network {};

TEST_F(I5_NetworkSubmit, LongerThanTheSubmitTimeOutIsToldAndSubmittedAgain) {
    start_agent({"submit_timeout=100", "work=1"});
    begin(over_tcp());
    EXPECT_EQ(sum_of(execute("add", numbers(1)).get()), 8);
    agent->signal(SIGSTOP);
    auto reply = execute("add", numbers(2));
    std::this_thread::sleep_for(milliseconds(100));  // the task is in its socket
    {
        const Cut cut;
        agent->signal(SIGCONT);
        EXPECT_NE(agent->line_with("again 2"), "") << "not delivered in time";
        EXPECT_FALSE(is_ready(reply));
    }
    EXPECT_EQ(sum_of(reply.get()), 9);
    EXPECT_NE(agent->line_with("ok 2"), "");
    EXPECT_EQ(exchanger->report().late_results, 0U);
}

class I3_NetworkLong : public Network {};

// The kernel gives the connection up on both sides; nobody's own time-out is involved.
TEST_F(I3_NetworkLong, LongerThanTheConnectionLives) {
    start_agent({"work=1"});
    auto options = over_tcp();
    options.disconnected_after = std::chrono::minutes(10);
    begin(options);
    EXPECT_EQ(sum_of(execute("add", numbers(1)).get()), 8);
    std::future<Shareable> reply;
    {
        const Cut cut;
        reply = execute("add", numbers(2));
        wait_for_long(ExchangerState::waiting);
    }
    EXPECT_EQ(sum_of(reply.get()), 9);
    EXPECT_EQ(exchanger->report().attempts, 2U);
}

/// A pipe whose passive end is here.
class L3_NetworkCut : public ::testing::Test {
protected:
    void SetUp() override {
        ZeromqPipe::Options options;
        options.tcp = true;
        options.advertise_address = variable("TWO_HOSTS_FIRST");
        pipe = std::make_unique<ZeromqPipe>(std::move(options));
        const auto opened = pipe->open(kLong);
        ASSERT_TRUE(opened) << opened.error().message;
        const auto file = base.path() + "/credentials";
        std::ofstream(file) << pipe->credentials();
        credentials = file;
    }
    static PipeMessage numbered(int number) {
        Shareable content;
        content.body = number;
        return PipeMessage::request("count", std::move(content));
    }
    BaseFolder base;
    std::unique_ptr<ZeromqPipe> pipe;
    std::string credentials;
};

TEST_F(L3_NetworkCut, WhatIsSentMeanwhileComesOnceAndInOrder) {
    constexpr int kMessages = 40;
    const auto peer = on_second_host({RANKEXEC_PIPE_PEER, "zeromq_tcp", "active", credentials, "receive", "0", "40"});
    ASSERT_EQ(peer->line(), "open 0");
    auto sent = std::async(std::launch::async, [&] {
        int unsent = 0;
        for (int number = 0; number < kMessages; ++number) {
            if (!pipe->send(numbered(number), std::chrono::seconds(60))) ++unsent;
        }
        return unsent;
    });
    for (const int length : {5, 50, 400}) {
        const Cut cut;
        std::this_thread::sleep_for(milliseconds(length));
    }
    EXPECT_EQ(sent.get(), 0);
    for (int number = 0; number < kMessages; ++number) EXPECT_EQ(peer->line(), "received " + std::to_string(number));
    EXPECT_EQ(peer->wait(), 0);
}

TEST_F(L3_NetworkCut, BothDirectionsWorkAfterIt) {
    const auto peer = on_second_host({RANKEXEC_PIPE_PEER, "zeromq_tcp", "active", credentials, "echo"});
    ASSERT_EQ(peer->line(), "open 0");
    for (int number = 0; number < 5; ++number) {
        std::optional<Cut> cut;
        if (number % 2 == 1) cut.emplace();
        const auto message = numbered(number);
        auto sent = std::async(std::launch::async, [&] { return pipe->send(message, std::chrono::seconds(60)); });
        if (cut) std::this_thread::sleep_for(milliseconds(300));
        cut.reset();
        EXPECT_TRUE(sent.get());
        const auto answer = pipe->receive(std::chrono::seconds(60));
        ASSERT_TRUE(answer && *answer);
        EXPECT_EQ((*answer)->request_id, message.id);
    }
    EXPECT_TRUE(pipe->send(PipeMessage::end("enough"), std::chrono::seconds(60)));
    EXPECT_EQ(peer->wait(), 0);
}

}  // namespace
}  // namespace rankexec::test
