// SPDX-License-Identifier: Apache-2.0
// A body that cannot be understood fails its call; only what has no call ends the session.
#include <gtest/gtest.h>

#include <vector>

#include "fake_transport_server.hpp"
#include "rankexec/ipc/channel/parent_channel.hpp"

namespace rankexec {
namespace {

class BadBody : public ::testing::Test {
protected:
    ParentChannel channel(ChannelKind kind) {
        ParentChannel::Callbacks callbacks;
        callbacks.on_message = [this](int, wire::Message&& message) { messages.push_back(std::move(message)); };
        callbacks.on_bad_body = [this](int, const std::string& why) { bad_bodies.push_back(why); };
        callbacks.on_violation = [this](int, const std::string& why) { violations.push_back(why); };
        return {server, kind, 1, std::move(callbacks)};
    }

    /// A list of five elements: the call's number, and what no message has there.
    static std::vector<std::byte> body_of_call(int number) {
        return {std::byte{0x95}, static_cast<std::byte>(number), std::byte{0xc2}, std::byte{0xc2}, std::byte{0xc2},
                std::byte{0xc2}};
    }

    /// The next message.
    void receive(const wire::Message& message, std::vector<std::byte> body = {}) {
        server.receive("route", ++sequence, message, std::move(body));
    }

    FakeTransportServer server;
    std::uint64_t sequence = 0;
    std::vector<wire::Message> messages;
    std::vector<std::string> bad_bodies;
    std::vector<std::string> violations;
};

TEST_F(BadBody, OfAResultFailsItsTask) {
    const auto execution = channel(ChannelKind::execution);
    receive(wire::Result{}, body_of_call(7));
    ASSERT_EQ(messages.size(), 1U);
    const auto& result = std::get<wire::Result>(messages[0]);
    EXPECT_EQ(result.task_id, 7U);
    EXPECT_EQ(result.reply.code, ReturnCode::execution_result_error);
    ASSERT_TRUE(result.reply.failure);
    EXPECT_NE(result.reply.failure->message.find("Result: byte 2"), std::string::npos) << result.reply.failure->message;

    receive(wire::Result{8, 0, {}, {}});
    ASSERT_EQ(messages.size(), 2U) << "the session goes on";
    EXPECT_EQ(std::get<wire::Result>(messages[1]).task_id, 8U);
    EXPECT_TRUE(violations.empty());
    EXPECT_TRUE(bad_bodies.empty());
}

TEST_F(BadBody, OfAnEventsAnswerLeavesItsChangesOut) {
    const auto handler = channel(ChannelKind::handler);
    receive(wire::EventDone{}, body_of_call(3));
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_EQ(std::get<wire::EventDone>(messages[0]), (wire::EventDone{3, {}}));
}

TEST_F(BadBody, OfAStackReportIsOneWithoutAStack) {
    const auto handler = channel(ChannelKind::handler);
    receive(wire::StackReport{}, body_of_call(3));
    ASSERT_EQ(messages.size(), 1U);
    const auto& report = std::get<wire::StackReport>(messages[0]);
    EXPECT_EQ(report.task_id, 3U);
    EXPECT_TRUE(report.frames.empty());
    EXPECT_FALSE(report.missing.empty());
}

TEST_F(BadBody, OfAnEventTakesItsNumberOnly) {
    const auto relay = channel(ChannelKind::relay);
    receive(wire::FireEvent{}, body_of_call(5));
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_EQ(std::get<wire::FireEvent>(messages[0]), (wire::FireEvent{5, "", 0, 0, {}, false}));
}

TEST_F(BadBody, WithoutACallIsReportedAsSuch) {
    const auto execution = channel(ChannelKind::execution);
    receive(wire::Result{}, {std::byte{0xc1}});
    receive(wire::Hello{}, body_of_call(7));
    EXPECT_TRUE(messages.empty());
    EXPECT_EQ(bad_bodies.size(), 2U);
}

TEST_F(BadBody, OnAChannelThatTheMessageIsNotForEndsTheSession) {
    const auto execution = channel(ChannelKind::execution);
    receive(wire::FireEvent{}, body_of_call(7));
    EXPECT_TRUE(messages.empty());
    EXPECT_EQ(violations.size(), 1U);
}

TEST_F(BadBody, OfAReceiptEndsTheSession) {
    const auto supervision = channel(ChannelKind::supervision);
    receive(wire::Received{}, {std::byte{0xc1}});
    receive(wire::Resume{}, {std::byte{0xc1}});
    EXPECT_EQ(violations.size(), 2U);
}

}  // namespace
}  // namespace rankexec
