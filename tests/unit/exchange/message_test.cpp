// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/exchange/exchange_messages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "ends.hpp"

namespace rankexec::test {
namespace {

using namespace exchange;  // NOLINT: its messages
using ::testing::HasSubstr;

const TaskRef kRef{std::string(32, 'a'), 3};
const std::string kRequest(32, 'b');

std::vector<ExchangeMessage> requests() {
    GiveTask task{kRef, "train", "weights", 2, 5, {}};
    task.input.headers["user"] = "kept";
    task.input.body["x"] = 1;
    GiveResult result{kRef, "metrics", {}};
    result.result.body = 4;
    return {Heartbeat{},
            task,
            GiveTask{kRef, "validate", "app_defined", {}, {}, {}},
            TaskFetched{kRef},
            result,
            GiveResult{{}, "weights", {}},
            AbortTask{kRef, "enough"},
            Bye{"the run has ended"},
            ProgramLog{"metric", {{"loss", 0.5}}}};
}

std::vector<ExchangeMessage> replies() {
    return {HeartbeatAnswer{},
            HeartbeatAnswer{{{kRef, true}, {{std::string(32, 'c'), 1}, false}}},
            TaskAnswer{kRef, true, ""},
            TaskAnswer{kRef, false, "no"},
            ResultAnswer{kRef, true, ""},
            ResultAnswer{{}, false, "no task is open"},
            AbortAnswer{kRef},
            ByeAnswer{},
            LogAnswer{}};
}

TEST(I5_ExchangeMessages, ComeAsTheyWereSent) {
    for (const auto& message : requests()) {
        const auto sent = to_pipe(message);
        EXPECT_EQ(sent.kind, PipeMessage::Kind::request);
        const auto come = from_pipe(sent);
        ASSERT_TRUE(come) << come.error();
        EXPECT_EQ(*come, message) << sent.topic;
    }
    for (const auto& message : replies()) {
        const auto sent = to_pipe(message, kRequest);
        EXPECT_EQ(sent.kind, PipeMessage::Kind::reply);
        EXPECT_EQ(sent.request_id, kRequest);
        const auto come = from_pipe(sent);
        ASSERT_TRUE(come) << come.error();
        EXPECT_EQ(*come, message) << sent.topic;
    }
}

TEST(I5_ExchangeMessages, OnlyContentWaitsBehindContent) {
    for (const auto& message : requests()) {
        const bool content = std::holds_alternative<GiveTask>(message) || std::holds_alternative<GiveResult>(message) ||
                             std::holds_alternative<ProgramLog>(message);
        EXPECT_EQ(is_sign(message), !content);
    }
    for (const auto& message : replies()) EXPECT_TRUE(is_sign(message));
}

TEST(I6_ExchangeMessages, WhatIsMalformedIsSaidToBe) {
    const auto error_of = [](const char* topic, const Value& facts, bool reply) {
        Shareable content;
        if (!facts.is_null()) content.headers[std::string(kExchangeHeader)] = facts;
        auto message = PipeMessage::request(topic, content);
        if (reply) {
            message.kind = PipeMessage::Kind::reply;
            message.request_id = kRequest;
        }
        const auto meant = from_pipe(std::move(message));
        return meant ? std::string() : meant.error();
    };
    const auto map = [](std::initializer_list<std::pair<const char*, Value>> entries) {
        Value::Map facts;
        for (const auto& [key, value] : entries) facts[key] = value;
        return Value(facts);
    };
    EXPECT_THAT(error_of("nonsense", {}, false), HasSubstr("nonsense: its topic means nothing"));
    EXPECT_THAT(error_of("nonsense", {}, true), HasSubstr("means nothing"));
    EXPECT_THAT(error_of("heartbeat", "text", false), HasSubstr("no map"));
    EXPECT_THAT(error_of("heartbeat", {}, true), HasSubstr("holds"));
    EXPECT_THAT(error_of("heartbeat", map({{"holds", Value::Array{1}}}), true), HasSubstr("no map"));
    EXPECT_THAT(error_of("heartbeat", map({{"holds", Value::Array(17)}}), true), HasSubstr("too long"));
    EXPECT_THAT(error_of("task", {}, false), HasSubstr("name"));
    EXPECT_THAT(error_of("task", map({{"name", "t"}, {"task", "short"}}), false), HasSubstr("32 hexadecimal digits"));
    EXPECT_THAT(error_of("task", map({{"name", "t"}, {"task", kRef.task}, {"attempt", "1"}, {"kind", "k"}}), false),
                HasSubstr("attempt"));
    EXPECT_THAT(error_of("task", map({{"name", "t"}, {"task", kRef.task}, {"attempt", -1}, {"kind", "k"}}), false),
                HasSubstr("attempt"));
    EXPECT_THAT(error_of("result", map({{"task", kRef.task}}), false), HasSubstr("kind"));
    EXPECT_THAT(error_of("result", map({{"kind", "a b"}}), false), HasSubstr("kind"));
    EXPECT_THAT(error_of("result", map({{"accepted", 1}}), true), HasSubstr("accepted"));
    EXPECT_THAT(error_of("task", map({{"task", kRef.task}, {"accepted", true}, {"why", std::string(2000, 'x')}}), true),
                HasSubstr("too long"));
    EXPECT_THAT(error_of("abort", {}, false), HasSubstr("task"));
    EXPECT_THAT(error_of("bye", {}, false), HasSubstr("why"));
}

TEST(I5_DataKind, IsWhatTheHeaderSays) {
    Shareable content;
    EXPECT_EQ(data_kind_of(content, kDefaultDataKind).value(), "weights");
    content.headers["data_kind"] = "metrics";
    EXPECT_EQ(data_kind_of(content, kDefaultDataKind).value(), "metrics");
    content.headers["data_kind"] = 3;
    EXPECT_FALSE(data_kind_of(content, kDefaultDataKind));
    content.headers["data_kind"] = "two words";
    EXPECT_FALSE(data_kind_of(content, kDefaultDataKind));
}

}  // namespace
}  // namespace rankexec::test
