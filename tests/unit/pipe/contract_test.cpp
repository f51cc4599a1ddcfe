// SPDX-License-Identifier: Apache-2.0
// What holds for a pipe of every form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "forms.hpp"

namespace rankexec::test {
namespace {

using std::chrono::milliseconds;

class L2_Pipe : public ::testing::TestWithParam<Form> {
protected:
    Ends ends{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(, L2_Pipe, ::testing::ValuesIn(all_forms()), form_name);

/// Takes everything that comes, on a thread of its own, until it has `count`.
std::future<std::vector<PipeMessage>> taking(Pipe& pipe, std::size_t count) {
    return std::async(std::launch::async, [&pipe, count] {
        std::vector<PipeMessage> messages;
        while (messages.size() < count) messages.push_back(received_by(pipe));
        return messages;
    });
}

TEST_P(L2_Pipe, BothDirectionsCarryMessagesAsTheyWereSent) {
    ends.open();
    Shareable content;
    content.headers["round"] = 3;
    content.tensors.emplace("weights", Tensor::copy_of<float>(std::vector<float>(100'000, 0.5F), {100'000}));
    const auto request = PipeMessage::request("train", content);
    auto taken = taking(*ends.active, 1);
    EXPECT_EQ(kind_of(ends.passive->send(request, kLong)), "");
    EXPECT_EQ(taken.get().front(), request);
    const auto reply = PipeMessage::reply_to(request, content);
    taken = taking(*ends.passive, 1);
    EXPECT_EQ(kind_of(ends.active->send(reply, kLong)), "");
    EXPECT_EQ(taken.get().front(), reply);
}

TEST_P(L2_Pipe, MessagesComeOldestFirst) {
    ends.open();
    auto taken = taking(*ends.active, 100);
    for (int number = 0; number < 100; ++number) {
        ASSERT_EQ(kind_of(ends.passive->send(numbered(number), kLong)), "");
    }
    const auto messages = taken.get();
    for (int number = 0; number < 100; ++number) EXPECT_EQ(number_of(messages[number]), number);
}

TEST_P(L2_Pipe, SendersOnManyThreadsLoseAndDoubleNothing) {
    ends.open();
    auto taken = taking(*ends.passive, 80);
    std::vector<std::future<void>> senders;
    for (int sender = 0; sender < 4; ++sender) {
        senders.push_back(std::async(std::launch::async, [&, sender] {
            for (int number = 0; number < 20; ++number) {
                EXPECT_EQ(kind_of(ends.active->send(numbered(sender * 20 + number), kLong)), "");
            }
        }));
    }
    for (auto& sender : senders) sender.get();
    std::set<int> numbers;
    for (const auto& message : taken.get()) numbers.insert(number_of(message));
    EXPECT_EQ(numbers.size(), 80U);
    EXPECT_TRUE(receives_nothing(*ends.passive));
}

TEST_P(L2_Pipe, NothingComesWithinTheTimeOut) {
    ends.open();
    EXPECT_TRUE(receives_nothing(*ends.passive));
    EXPECT_TRUE(receives_nothing(*ends.active));
    const auto now = ends.active->receive(milliseconds(0));
    EXPECT_TRUE(now && !*now);
}

TEST_P(L2_Pipe, SendersAndReceiversThatWaitAreWoken) {
    ends.open();
    constexpr auto kForever = std::chrono::hours(1);  // whoever is not woken hangs
    auto receiving = std::async(std::launch::async, [&] { return ends.active->receive(kForever); });
    std::this_thread::sleep_for(milliseconds(20));  // most probably it waits by now; correct either way
    EXPECT_EQ(kind_of(ends.passive->send(numbered(1), kForever)), "");
    EXPECT_EQ(number_of(receiving.get().value().value()), 1);
}

TEST_P(L2_Pipe, ASignalEndsSendAndReceive) {
    ends.open_passive();  // nobody takes anything
    Signal cancel;
    auto sending = std::async(std::launch::async, [&] { return ends.passive->send(numbered(1), kLong, cancel); });
    auto receiving = std::async(std::launch::async, [&] { return ends.passive->receive(kLong, cancel); });
    std::this_thread::sleep_for(milliseconds(20));
    cancel.trigger("enough");
    const auto sent = sending.get();
    EXPECT_EQ(kind_of(sent), "cancelled");
    EXPECT_THAT(sent.error().message, ::testing::HasSubstr("enough"));
    EXPECT_EQ(kind_of(receiving.get()), "cancelled");
    EXPECT_EQ(kind_of(ends.passive->receive(kLong, cancel)), "cancelled");
}

TEST_P(L2_Pipe, AHeartbeatIsThereForAPeerThatComesLater) {
    ends.open_passive();
    for (int beat = 0; beat < 3; ++beat) EXPECT_EQ(kind_of(ends.passive->send(PipeMessage::heartbeat(), kLong)), "");
    ends.open_active();
    EXPECT_TRUE(received_by(*ends.active).is_heartbeat());
    EXPECT_TRUE(receives_nothing(*ends.active));
}

TEST_P(L2_Pipe, AHeartbeatIsNotWaitedForAndDoesNotPileUp) {
    ends.open();
    auto connected = taking(*ends.active, 1);
    EXPECT_EQ(kind_of(ends.passive->send(numbered(0), kLong)), "");
    connected.get();
    // Nobody takes them; that these calls return at all is the point.
    for (int count = 0; count < 100; ++count) {
        EXPECT_EQ(kind_of(ends.passive->send(PipeMessage::heartbeat(), kLong)), "");
    }
    auto sent = std::async(std::launch::async, [&] { return ends.passive->send(numbered(1), kLong); });
    int heartbeats = 0;
    while (true) {
        const auto message = received_by(*ends.active);
        if (!message.is_heartbeat()) break;
        ++heartbeats;
    }
    EXPECT_GE(heartbeats, 1);
    EXPECT_LT(heartbeats, 100);
    EXPECT_EQ(kind_of(sent.get()), "");
}

TEST_P(L2_Pipe, AMessageOverTheLimitIsRefusedBeforeItIsSent) {
    wire::Limits limits;
    limits.message_bytes = 1000;
    Ends small(GetParam(), limits);
    small.open();
    Shareable content;
    content.tensors.emplace("big", Tensor::copy_of<float>(std::vector<float>(1000), {1000}));
    EXPECT_EQ(kind_of(small.active->send(PipeMessage::request("big", content), kLong)), "bad_message");
    auto taken = taking(*small.passive, 1);
    EXPECT_EQ(kind_of(small.active->send(numbered(1), kLong)), "");
    EXPECT_EQ(number_of(taken.get().front()), 1);
}

TEST_P(L2_Pipe, BeforeOpenAndAfterCloseNothingWorks) {
    ends.open_passive();
    const auto fresh = ends.another_active();
    EXPECT_EQ(kind_of(fresh->send(numbered(1), kLong)), "closed");
    EXPECT_EQ(kind_of(fresh->receive(kLong)), "closed");
    ends.open_active();
    ends.active->close();
    ends.active->close();
    EXPECT_EQ(kind_of(ends.active->send(numbered(1), kLong)), "closed");
    EXPECT_EQ(kind_of(ends.active->receive(kLong)), "closed");
    EXPECT_FALSE(ends.active->open(kLong)) << "close is final";
}

TEST_P(L2_Pipe, CloseEndsTheWaitsOfOtherThreads) {
    ends.open_passive();
    auto sending = std::async(std::launch::async, [&] { return ends.passive->send(numbered(1), kLong); });
    auto receiving = std::async(std::launch::async, [&] { return ends.passive->receive(kLong); });
    std::this_thread::sleep_for(milliseconds(20));
    ends.passive->close();
    EXPECT_THAT(kind_of(sending.get()), ::testing::AnyOf("closed", "broken"));
    EXPECT_EQ(kind_of(receiving.get()), "closed");
}

TEST_P(L2_Pipe, WhenThePassiveEndClosesTheActiveOneIsBroken) {
    ends.open();
    auto taken = taking(*ends.active, 1);
    EXPECT_EQ(kind_of(ends.passive->send(numbered(1), kLong)), "");
    taken.get();
    auto receiving = std::async(std::launch::async, [&] { return ends.active->receive(kLong); });
    std::this_thread::sleep_for(milliseconds(20));
    ends.passive->close();
    EXPECT_EQ(kind_of(receiving.get()), "broken");
    EXPECT_EQ(kind_of(ends.active->send(numbered(2), kLong)), "broken");
}

TEST_P(L2_Pipe, ClearingThrowsAwayWhatHasCome) {
    ends.open();
    // Files wait at their sender, queued messages at their receiver: one way or the other it is to go.
    auto sending = std::async(std::launch::async, [&] { return ends.passive->send(numbered(1), milliseconds(200)); });
    (void)sending.get();
    ends.active->clear();
    auto taken = taking(*ends.active, 1);
    EXPECT_EQ(kind_of(ends.passive->send(numbered(2), kLong)), "");
    EXPECT_EQ(number_of(taken.get().front()), 2);
}

TEST_P(L2_Pipe, EndsThatOpenAndCloseAtAnyMomentHangNobody) {
    for (int round = 0; round < 20; ++round) {
        Ends fresh(GetParam());
        fresh.open();
        auto sending = std::async(std::launch::async, [&] {
            for (int number = 0; fresh.active->send(numbered(number), milliseconds(1000)); ++number) {
            }
        });
        auto receiving = std::async(std::launch::async, [&] {
            while (fresh.passive->receive(kLong)) {
            }
        });
        std::this_thread::sleep_for(milliseconds(round % 5));
        fresh.passive->close();
        receiving.get();
        sending.get();
        fresh.active->close();
    }
}

}  // namespace
}  // namespace rankexec::test
