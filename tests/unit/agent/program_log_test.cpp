// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/exchange/program_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace rankexec::exchange {
namespace {

using ::testing::HasSubstr;

TEST(ProgramLog, ComesAsItWasSent) {
    const ProgramLog log{"progress", {{"loss", 0.5}, {"epoch", 3}, {"phase", "warm-up"}, {"last", true}}};
    EXPECT_EQ(ProgramLog::from_message(log.to_message()).value(), log);
    EXPECT_EQ(ProgramLog::from_message(ProgramLog{}.to_message())->type, "metric");
}

TEST(ProgramLog, WithoutATypeItIsAMetric) {
    Shareable content;
    content.body = Value::Map{{"loss", 1}};
    const auto log = ProgramLog::from_message(PipeMessage::request("log", content));
    ASSERT_TRUE(log) << log.error();
    EXPECT_EQ(log->type, "metric");
    EXPECT_EQ(log->figures.at("loss"), Value(1));
}

std::string refusal(const std::string& topic, const Value& type, const Value& body) {
    Shareable content;
    if (!type.is_null()) content.headers["type"] = type;
    content.body = body;
    const auto log = ProgramLog::from_message(PipeMessage::request(topic, content));
    return log ? "" : log.error();
}

TEST(ProgramLog, WhatIsNoneIsRefused) {
    const Value figures = Value::Map{{"loss", 1}};
    EXPECT_EQ(refusal("log", "t", figures), "");
    EXPECT_THAT(refusal("train", "t", figures), HasSubstr("topic train"));
    EXPECT_THAT(refusal("log", 3, figures), HasSubstr("type is no text"));
    EXPECT_THAT(refusal("log", "", figures), HasSubstr("without a type"));
    EXPECT_THAT(refusal("log", std::string(257, 't'), figures), HasSubstr("257 bytes"));
    EXPECT_THAT(refusal("log", "t", 3), HasSubstr("no map"));
    EXPECT_THAT(refusal("log", "t", Value::Map{{"a", Value::Array{1}}}), HasSubstr("\"a\" is array"));
    EXPECT_THAT(refusal("log", "t", Value::Map{{"a", Value()}}), HasSubstr("\"a\" is null"));
    EXPECT_THAT(refusal("log", "t", Value::Map{{"", 1}}), HasSubstr("no name"));
    EXPECT_THROW((void)ProgramLog({"", {}}).to_message(), std::invalid_argument);
    const auto reply = PipeMessage::reply_to(ProgramLog{}.to_message(), {});
    EXPECT_FALSE(ProgramLog::from_message(reply));
}

}  // namespace
}  // namespace rankexec::exchange
