// SPDX-License-Identifier: Apache-2.0
// The other end is another process, and is killed between any two steps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "forms.hpp"
#include "peer_process.hpp"

namespace rankexec::test {
namespace {

using std::chrono::milliseconds;

constexpr std::array kSending{PipeStep::encoded, PipeStep::written, PipeStep::published, PipeStep::confirmed};
constexpr std::array kReceiving{PipeStep::arrived, PipeStep::claimed, PipeStep::read, PipeStep::removed};

/// Steps that this form does not have between others.
bool has(Form form, PipeStep step) {
    return is_file(form) || step == PipeStep::encoded || step == PipeStep::published || step == PipeStep::confirmed ||
           step == PipeStep::arrived || step == PipeStep::claimed;
}

class L2_PipeDeath : public ::testing::TestWithParam<Form> {
protected:
    std::vector<std::string> peer(PipeMode mode, const std::string& command, int first = 0, int count = 0,
                                  int step = -1) {
        auto arguments = ends->peer_arguments(mode);
        for (const auto& argument : {command, std::to_string(first), std::to_string(count), std::to_string(step)}) {
            arguments.push_back(argument);
        }
        return arguments;
    }
    /// The numbers that come until the given one has.
    static std::vector<int> numbers_until(Pipe& pipe, int last) {
        std::vector<int> numbers;
        while (numbers.empty() || numbers.back() != last) {
            const auto message = received_by(pipe);
            if (message.topic.empty()) break;
            if (!message.is_heartbeat()) numbers.push_back(number_of(message));
        }
        return numbers;
    }

    std::unique_ptr<Ends> ends = std::make_unique<Ends>(GetParam());
};
INSTANTIATE_TEST_SUITE_P(, L2_PipeDeath, ::testing::ValuesIn(all_forms()), form_name);

TEST_P(L2_PipeDeath, TwoProcessesExchangeRequestsAndReplies) {
    ends->open_passive();
    PeerProcess echo(peer(PipeMode::active, "echo"));
    for (int number = 0; number < 50; ++number) {
        const auto request = numbered(number);
        ASSERT_EQ(kind_of(ends->passive->send(request, kLong)), "");
        const auto reply = received_by(*ends->passive);
        EXPECT_EQ(reply.request_id, request.id);
        EXPECT_EQ(number_of(reply), number);
    }
    EXPECT_EQ(kind_of(ends->passive->send(PipeMessage::end("done"), kLong)), "");
    EXPECT_EQ(echo.wait(), 0);
}

TEST_P(L2_PipeDeath, ASenderThatIsKilledAtAnyStepDisturbsNoLaterMessage) {
    for (const auto step : kSending) {
        if (!has(GetParam(), step)) continue;
        ends = std::make_unique<Ends>(GetParam());
        ends->open_passive();
        PeerProcess first(peer(PipeMode::active, "send", 1, 2, static_cast<int>(step)));
        EXPECT_EQ(numbers_until(*ends->passive, 1), std::vector{1});
        if (step == PipeStep::confirmed) {
            EXPECT_EQ(numbers_until(*ends->passive, 2), std::vector{2});
        }
        EXPECT_EQ(first.wait(), -SIGKILL);
        PeerProcess second(peer(PipeMode::active, "send", 3, 1));
        const auto numbers = numbers_until(*ends->passive, 3);
        if (is_file(GetParam())) {
            // What was published lies there, whole.
            const auto expected = step == PipeStep::published ? std::vector{2, 3} : std::vector{3};
            EXPECT_EQ(numbers, expected) << static_cast<int>(step);
        } else {
            EXPECT_THAT(numbers, ::testing::AnyOf(std::vector{3}, std::vector{2, 3})) << static_cast<int>(step);
        }
        EXPECT_EQ(second.wait(), 0);
        // Nothing comes twice; a peer that has closed may be told of.
        const auto more = ends->passive->receive(kShort);
        EXPECT_TRUE(!more || !*more) << static_cast<int>(step);
    }
}

TEST_P(L2_PipeDeath, AReceiverThatIsKilledAtAnyStepDisturbsNoLaterMessage) {
    for (const auto step : kReceiving) {
        if (!has(GetParam(), step)) continue;
        ends = std::make_unique<Ends>(GetParam());
        ends->open_passive();
        PeerProcess first(peer(PipeMode::active, "receive", 0, 2, static_cast<int>(step)));
        ASSERT_EQ(kind_of(ends->passive->send(numbered(1), kLong)), "");
        EXPECT_EQ(first.line(), "open 0");
        EXPECT_EQ(first.line(), "received 1");
        const auto sent = kind_of(ends->passive->send(numbered(2), milliseconds(500)));
        EXPECT_EQ(first.wait(), -SIGKILL);
        if (is_file(GetParam())) {
            EXPECT_EQ(sent, step == PipeStep::arrived ? "not_taken" : "");
        }
        PeerProcess second(peer(PipeMode::active, "receive", 0, 1));
        EXPECT_EQ(kind_of(ends->passive->send(numbered(3), kLong)), "");
        EXPECT_EQ(second.line(), "open 0");
        EXPECT_EQ(second.line(), "received 3") << static_cast<int>(step);
        EXPECT_EQ(second.wait(), 0);
    }
}

/// Another passive end of a ZeroMQ pipe has other credentials.
class L2_FilePipeDeath : public L2_PipeDeath {};
INSTANTIATE_TEST_SUITE_P(, L2_FilePipeDeath, ::testing::Values(Form::file, Form::file_without_events), form_name);

TEST_P(L2_FilePipeDeath, WhatAKilledPassiveEndLeftServesItsSuccessor) {
    for (const auto step : kReceiving) {
        ends = std::make_unique<Ends>(GetParam());
        PeerProcess first(peer(PipeMode::passive, "receive", 0, 1, static_cast<int>(step)));
        EXPECT_EQ(first.line(), "open 0");
        ends->open_active();
        const auto sent = kind_of(ends->active->send(numbered(1), milliseconds(500)));
        EXPECT_EQ(sent, step == PipeStep::arrived ? "not_taken" : "");
        EXPECT_EQ(first.wait(), -SIGKILL);
        PeerProcess second(peer(PipeMode::passive, "receive", 0, 1));
        EXPECT_EQ(second.line(), "open 0");
        EXPECT_TRUE(std::filesystem::is_empty(ends->root() + "/temporary")) << static_cast<int>(step);
        EXPECT_EQ(kind_of(ends->active->send(numbered(2), kLong)), "");
        EXPECT_EQ(second.line(), "received 2");
        EXPECT_EQ(second.wait(), 0);
    }
}

TEST_P(L2_PipeDeath, APeerThatIsKilledAtAnyMomentDisturbsNoLaterMessage) {
    ends->open_passive();
    int next = 0;
    for (int round = 0; round < 30; ++round) {
        PeerProcess sender(peer(PipeMode::active, "send", next, 1000));
        EXPECT_EQ(sender.line(), "open 0");
        std::vector<int> numbers;
        for (int count = 0; count <= round % 4; ++count) {
            const auto message = received_by(*ends->passive);
            numbers.push_back(number_of(message));
        }
        sender.kill();
        EXPECT_EQ(sender.wait(), -SIGKILL);
        while (true) {  // what it had sent before
            const auto received = ends->passive->receive(kShort);
            if (!received || !*received) break;
            numbers.push_back(number_of(**received));
        }
        for (const int number : numbers) EXPECT_EQ(number, next++) << "lost or doubled";
    }
}

}  // namespace
}  // namespace rankexec::test
