// SPDX-License-Identifier: Apache-2.0
// What holds for pipes over ZeroMQ only: who may be the peer, and what becomes of what is sent twice.
#include "rankexec/ipc/pipe/zeromq_pipe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "forms.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/ipc/transport/transport_client.hpp"

namespace rankexec::test {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class L3_ZeromqPipe : public ::testing::TestWithParam<Form> {
protected:
    static std::unique_ptr<ZeromqPipe> active_with(const std::string& credentials) {
        ZeromqPipe::Options options;
        options.mode = PipeMode::active;
        options.credentials = credentials;
        return std::make_unique<ZeromqPipe>(std::move(options));
    }
    ZeromqPipe& passive() { return dynamic_cast<ZeromqPipe&>(*ends.passive); }
    /// Both ends have greeted each other, and nothing waits.
    void connect() {
        ends.open();
        EXPECT_EQ(kind_of(ends.active->send(numbered(0), kLong)), "");
        EXPECT_EQ(number_of(received_by(*ends.passive)), 0);
    }

    Ends ends{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(, L3_ZeromqPipe, ::testing::Values(Form::zeromq_ipc, Form::zeromq_tcp), form_name);

TEST_P(L3_ZeromqPipe, TakenMeansQueuedNotReceived) {
    ends.open();
    for (int number = 0; number < 10; ++number) EXPECT_EQ(kind_of(ends.active->send(numbered(number), kLong)), "");
    for (int number = 0; number < 10; ++number) EXPECT_EQ(number_of(received_by(*ends.passive)), number);
}

TEST_P(L3_ZeromqPipe, WhatIsSentAgainIsQueuedOnce) {
    connect();
    const auto message = ends.active->encode(numbered(1)).value();
    for (int attempt = 0; attempt < 5; ++attempt) EXPECT_EQ(kind_of(ends.active->send(message, kLong, {})), "");
    EXPECT_EQ(kind_of(ends.active->send(numbered(2), kLong)), "");
    EXPECT_EQ(number_of(received_by(*ends.passive)), 1);
    EXPECT_EQ(number_of(received_by(*ends.passive)), 2);
    EXPECT_TRUE(receives_nothing(*ends.passive));
}

TEST_P(L3_ZeromqPipe, WhatNobodyCouldTakeIsSentAgainWhenThePeerHasCome) {
    ends.open_passive();
    const auto message = ends.passive->encode(numbered(1)).value();
    EXPECT_EQ(kind_of(ends.passive->send(message, kShort, {})), "not_taken");
    EXPECT_TRUE(ends.passive->can_resend());
    auto sent = std::async(std::launch::async, [&] { return ends.passive->send(message, kLong, {}); });
    ends.open_active();
    EXPECT_EQ(kind_of(sent.get()), "");
    EXPECT_EQ(number_of(received_by(*ends.active)), 1);
    EXPECT_TRUE(receives_nothing(*ends.active));
}

TEST_P(L3_ZeromqPipe, WhatHasNoRoomWaitsAtItsSender) {
    connect();
    for (int number = 0; number < 64; ++number) ASSERT_EQ(kind_of(ends.active->send(numbered(number), kLong)), "");
    const auto message = ends.active->encode(numbered(64)).value();
    EXPECT_EQ(kind_of(ends.active->send(message, kShort, {})), "not_taken");
    auto sent = std::async(std::launch::async, [&] { return ends.active->send(message, kLong, {}); });
    for (int number = 0; number <= 64; ++number) EXPECT_EQ(number_of(received_by(*ends.passive)), number);
    EXPECT_EQ(kind_of(sent.get()), "");
    EXPECT_TRUE(receives_nothing(*ends.passive));
}

TEST_P(L3_ZeromqPipe, AStrangerGetsNothingThrough) {
    connect();
    Ends other(GetParam());
    other.open_passive();
    // Where this pipe is, with the secret of another one.
    auto bootstrap = Bootstrap::from_text(ends.credentials()).value();
    bootstrap.secret = Bootstrap::from_text(other.credentials())->secret;
    const auto stranger = active_with(bootstrap.to_text());
    ASSERT_TRUE(stranger->open(kLong));
    const auto sent = stranger->send(numbered(666), kLong);
    EXPECT_EQ(kind_of(sent), "broken");
    EXPECT_THAT(sent.error().message, HasSubstr("refused this pipe's credentials"));
    EXPECT_GE(passive().rejected(), 1U);
    EXPECT_TRUE(receives_nothing(*ends.passive));
    EXPECT_EQ(kind_of(ends.active->send(numbered(1), kLong)), "");
    EXPECT_EQ(number_of(received_by(*ends.passive)), 1);
}

TEST_P(L3_ZeromqPipe, AThirdPartyIsRejectedUntilThePeerHasGone) {
    connect();
    const auto third = ends.another_active();
    ASSERT_TRUE(third->open(kLong));
    while (passive().rejected() == 0) std::this_thread::yield();
    const auto sent = third->send(numbered(3), kShort);
    EXPECT_EQ(kind_of(sent), "not_taken");
    EXPECT_TRUE(receives_nothing(*ends.passive));
    EXPECT_EQ(kind_of(ends.active->send(numbered(1), kLong)), "");
    EXPECT_EQ(number_of(received_by(*ends.passive)), 1);
    auto waiting = std::async(std::launch::async, [&] { return third->send(numbered(4), kLong); });
    ends.active->close();
    EXPECT_EQ(kind_of(waiting.get()), "");
    EXPECT_EQ(number_of(received_by(*ends.passive)), 4);
}

TEST_P(L3_ZeromqPipe, AClosedActiveEndBreaksThePassiveOneUntilClearedOrAnotherComes) {
    connect();
    ends.active->close();
    EXPECT_EQ(kind_of(ends.passive->receive(kLong)), "broken");
    EXPECT_EQ(kind_of(ends.passive->send(numbered(1), kLong)), "broken");
    ends.passive->clear();
    EXPECT_TRUE(receives_nothing(*ends.passive));
    ends.open_active();
    EXPECT_EQ(kind_of(ends.passive->send(numbered(2), kLong)), "");
    EXPECT_EQ(number_of(received_by(*ends.active)), 2);
}

TEST_P(L3_ZeromqPipe, WhatWasTakenIsReceivedAfterThePeerHasClosed) {
    connect();
    EXPECT_EQ(kind_of(ends.active->send(numbered(1), kLong)), "");
    ends.active->close();
    EXPECT_EQ(number_of(received_by(*ends.passive)), 1);
    EXPECT_EQ(kind_of(ends.passive->receive(kLong)), "broken");
}

TEST_P(L3_ZeromqPipe, ALargeTensorComesWhole) {
    connect();
    Shareable content;
    const std::vector<float> elements(8'000'000, 0.5F);
    content.tensors.emplace("weights", Tensor::copy_of<float>(elements, {8'000'000}));
    const auto message = PipeMessage::request("train", content);
    EXPECT_EQ(kind_of(ends.active->send(message, kLong)), "");
    EXPECT_EQ(received_by(*ends.passive), message);
}

/// A peer with credentials that says what it likes.
class Rogue {
public:
    explicit Rogue(const std::string& credentials) {
        TransportClient::Callbacks callbacks;
        callbacks.on_message = [this](ChannelKind, std::vector<wire::Frame>&& frames) {
            answers.push_back(pipe::decode_envelope(frames)->type);
        };
        client_ = std::move(TransportClient::connect(loop_, *Bootstrap::from_text(credentials), PeerRole::rank, 0,
                                                     {ChannelKind::execution, ChannelKind::handler}, callbacks))
                      .value();
    }
    void say(ChannelKind kind, const std::vector<wire::Frame>& frames) { client_->send(kind, frames); }
    void greet() {
        for (const auto kind : {ChannelKind::execution, ChannelKind::handler}) {
            say(kind, pipe::to_frames(session, pipe::FrameType::hello));
        }
    }
    bool hears(pipe::FrameType type, int times = 1) {
        const auto deadline = std::chrono::steady_clock::now() + kLong;
        while (std::ranges::count(answers, type) < times) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            loop_.run_once(milliseconds(100));
        }
        return true;
    }
    const std::string session = std::string(32, 'f');
    std::vector<pipe::FrameType> answers;

private:
    EventLoop loop_;
    std::unique_ptr<TransportClient> client_;
};

wire::Frame frame_of(std::string text) {
    auto owner = std::make_shared<std::string>(std::move(text));
    return {std::as_bytes(std::span(owner->data(), owner->size())), owner};
}

TEST_P(L3_ZeromqPipe, WhatAPeerSaysWrongFailsThatMessageOnly) {
    ends.open_passive();
    Rogue rogue(ends.credentials());
    rogue.greet();
    ASSERT_TRUE(rogue.hears(pipe::FrameType::hello, 2)) << "on both connections";
    auto frames = pipe::to_frames(rogue.session, pipe::encode(numbered(1)).value());
    frames[1] = frame_of("\xc1 rubbish");
    rogue.say(ChannelKind::execution, frames);
    ASSERT_TRUE(rogue.hears(pipe::FrameType::taken)) << "it would be no better the next time";
    EXPECT_EQ(kind_of(ends.passive->receive(kLong)), "bad_message");
    rogue.say(ChannelKind::execution, {frame_of("no envelope"), frame_of("no body")});
    EXPECT_EQ(kind_of(ends.passive->receive(kLong)), "bad_message");
    rogue.say(ChannelKind::execution, pipe::to_frames(rogue.session, pipe::encode(numbered(2)).value()));
    EXPECT_EQ(number_of(received_by(*ends.passive)), 2);
}

TEST_P(L3_ZeromqPipe, WhoHasNotGreetedIsNotHeard) {
    connect();
    Rogue rogue(ends.credentials());
    rogue.say(ChannelKind::execution, pipe::to_frames(rogue.session, pipe::encode(numbered(666)).value()));
    ASSERT_TRUE(rogue.hears(pipe::FrameType::refused));
    rogue.greet();
    for (int count = 0; count < 100; ++count) {
        rogue.say(ChannelKind::execution, pipe::to_frames(rogue.session, pipe::encode(numbered(666)).value()));
        rogue.say(ChannelKind::handler, pipe::to_frames(rogue.session, pipe::FrameType::bye));
    }
    rogue.answers.clear();
    rogue.say(ChannelKind::handler, pipe::to_frames(rogue.session, pipe::FrameType::taken, rogue.session));
    ASSERT_TRUE(rogue.hears(pipe::FrameType::refused));
    EXPECT_EQ(kind_of(ends.active->send(numbered(1), kLong)), "");
    EXPECT_EQ(number_of(received_by(*ends.passive)), 1);
    EXPECT_TRUE(receives_nothing(*ends.passive));
}

TEST_P(L3_ZeromqPipe, OptionsThatCannotWorkAreRefused) {
    const auto refused = [](const std::function<void(ZeromqPipe::Options&)>& change) -> std::string {
        ZeromqPipe::Options options;
        change(options);
        try {
            const ZeromqPipe pipe(options);
        } catch (const ConfigurationError& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_EQ(refused([](auto&) {}), "");
    EXPECT_THAT(refused([](auto& options) { options.mode = PipeMode::active; }), HasSubstr("credentials"));
    EXPECT_THAT(refused([](auto& options) { options.credentials = "x"; }), HasSubstr("credentials"));
    EXPECT_THAT(refused([](auto& options) { options.advertise_address = "10.0.0.1"; }), HasSubstr("10.0.0.1"));
    EXPECT_THAT(refused([](auto& options) { options.queued_messages = 0; }), HasSubstr("queued_messages"));
    ends.open_passive();
    EXPECT_THAT(refused([&](auto& options) {
                    options.mode = PipeMode::active;
                    options.credentials = ends.credentials();
                    options.tcp = true;
                }),
                HasSubstr("passive"));
}

}  // namespace
}  // namespace rankexec::test
