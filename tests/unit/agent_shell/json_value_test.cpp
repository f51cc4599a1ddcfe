// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/agent/shell/json_value.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

namespace rankexec::agent {
namespace {

using ::testing::HasSubstr;

Value round_trip(const Value& value) {
    const auto read = parse_json(json_of(value).dump());
    EXPECT_TRUE(read) << read.error();
    return read.value_or(Value());
}

TEST(JsonValue, ValuesComeBackAsTheyWere) {
    const Bytes bytes{std::byte{0}, std::byte{255}, std::byte{7}};
    const Value value = Value::Map{{"null", Value()},
                                   {"true", true},
                                   {"least", std::numeric_limits<std::int64_t>::min()},
                                   {"most", std::numeric_limits<std::int64_t>::max()},
                                   {"real", 0.1},
                                   {"whole real", 2.0},
                                   {"text", "a\"\n\u00e9"},
                                   {"bytes", bytes},
                                   {"no bytes", Bytes()},
                                   {"array", Value::Array{1, Value::Array(), Value::Map()}},
                                   {"inf", std::numeric_limits<double>::infinity()},
                                   {"-inf", -std::numeric_limits<double>::infinity()}};
    EXPECT_EQ(round_trip(value), value);
    const auto nan = round_trip(std::nan(""));
    ASSERT_NE(nan.if_real(), nullptr);
    EXPECT_TRUE(std::isnan(*nan.if_real()));
}

std::string refusal(const std::string& text) {
    const auto value = parse_json(text);
    EXPECT_FALSE(value) << text;
    return value ? "" : value.error();
}

TEST(JsonValue, WhatIsNoJsonIsRefused) {
    EXPECT_THAT(refusal(""), HasSubstr("parse error"));
    EXPECT_THAT(refusal("{\n  \"a\": }"), HasSubstr("line 2"));
    EXPECT_THAT(refusal("{\"loss\": NaN}"), HasSubstr("parse error"));
    EXPECT_THAT(refusal("1 2"), HasSubstr("parse error"));
    EXPECT_THAT(refusal("\"\xff\""), HasSubstr("UTF-8"));
    EXPECT_NE(refusal("1e999"), "");
}

TEST(JsonValue, WhatAValueCannotHoldIsRefused) {
    EXPECT_THAT(refusal("9223372036854775808"), HasSubstr("9223372036854775808"));
    EXPECT_THAT(refusal("[-99999999999999999999999]"), HasSubstr("larger than 64 bits"));
    EXPECT_THAT(refusal(R"({"a": 1, "a": 2})"), HasSubstr("\"a\" is there twice"));
    EXPECT_THAT(refusal(R"({"$bytes": "no base64!"})"), HasSubstr("base64"));
    EXPECT_THAT(refusal(R"({"$bytes": 3})"), HasSubstr("base64"));
    EXPECT_THAT(refusal(R"({"$real": 3})"), HasSubstr("$real"));
}

TEST(JsonValue, DepthAndNumberAreBounded) {
    wire::Limits limits;
    limits.depth = 3;
    limits.nodes = 5;
    limits.text_bytes = 4;
    EXPECT_TRUE(parse_json("[[[1]]]", limits));
    EXPECT_FALSE(parse_json("[[[[1]]]]", limits));
    EXPECT_TRUE(parse_json("[1,2,3,4]", limits));
    EXPECT_FALSE(parse_json("[1,2,3,4,5]", limits));
    EXPECT_TRUE(parse_json("\"1234\"", limits));
    EXPECT_FALSE(parse_json("\"12345\"", limits));
    EXPECT_FALSE(parse_json(std::string(1'000'000, '[')));
    EXPECT_FALSE(parse_json(std::string(1'000'000, '[') + std::string(1'000'000, ']')));
}

TEST(JsonValue, AMapWithMoreEntriesIsAMap) {
    const Value value = Value::Map{{"$bytes", "x"}, {"other", 1}};
    EXPECT_EQ(round_trip(value), value);
}

}  // namespace
}  // namespace rankexec::agent
