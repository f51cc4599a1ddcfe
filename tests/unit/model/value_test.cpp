// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/value.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace rankexec {
namespace {

TEST(Value, KeepsTheKindItWasMadeOf) {
    EXPECT_EQ(Value().kind(), Value::Kind::null);
    EXPECT_EQ(Value(nullptr).kind(), Value::Kind::null);
    EXPECT_EQ(Value(true).kind(), Value::Kind::boolean);
    EXPECT_EQ(Value(1).kind(), Value::Kind::integer);
    EXPECT_EQ(Value(1.0).kind(), Value::Kind::real);
    EXPECT_EQ(Value("text").kind(), Value::Kind::text);
    EXPECT_EQ(Value(Bytes{}).kind(), Value::Kind::bytes);
    EXPECT_EQ(Value(Value::Array{}).kind(), Value::Kind::array);
    EXPECT_EQ(Value(Value::Map{}).kind(), Value::Kind::map);
    EXPECT_EQ(to_string(Value::Kind::bytes), "bytes");
}

TEST(Value, AccessorsOfAnotherKindGiveTheFallback) {
    const Value text("7");
    EXPECT_EQ(text.integer_or(3), 3);
    EXPECT_EQ(text.real_or(0.5), 0.5);
    EXPECT_TRUE(text.boolean_or(true));
    EXPECT_EQ(Value(7).text_or("none"), "none");
    EXPECT_EQ(text.if_integer(), nullptr);
    EXPECT_EQ(Value(7).real_or(0), 7.0);
    EXPECT_EQ(Value(7.5).integer_or(3), 3);
}

TEST(Value, MembersBuildATree) {
    Value tree;
    tree["model"]["layers"] = Value::Array{64, 32, 10};
    ASSERT_NE(tree.find("model"), nullptr);
    const auto* layers = tree.find("model")->find("layers");
    ASSERT_NE(layers, nullptr);
    EXPECT_EQ(layers->if_array()->size(), 3U);
    EXPECT_EQ(tree.find("optimiser"), nullptr);
    EXPECT_EQ(layers->find("no map"), nullptr);
}

TEST(Value, AMemberOfAScalarIsAMistakeInTheProgram) {
    Value number(1);
    EXPECT_THROW(number["member"], std::logic_error);
    EXPECT_EQ(number, Value(1));
}

TEST(Value, CopiesAreDeep) {
    Value original;
    original["list"] = Value::Array{1};
    Value copy = original;
    copy["list"].if_array()->push_back(2);
    EXPECT_EQ(original.find("list")->if_array()->size(), 1U);
}

TEST(Value, EqualityTellsKindsApartAndTakesRealsByTheirBits) {
    const auto nan = std::numeric_limits<double>::quiet_NaN();
    EXPECT_NE(Value(1), Value(1.0));
    EXPECT_NE(Value(false), Value(0));
    EXPECT_NE(Value(), Value(Value::Map{}));
    EXPECT_EQ(Value(nan), Value(nan));
    EXPECT_NE(Value(0.0), Value(-0.0));
    EXPECT_EQ(Value(Value::Array{nan}), Value(Value::Array{nan}));
}

TEST(Value, DepthTakesNoStack) {
    Value deep(1);
    for (int level = 0; level < 1'000'000; ++level) {
        if (level % 2 == 0) {
            Value::Array outer;
            outer.push_back(std::move(deep));
            deep = std::move(outer);
        } else {
            Value::Map outer;
            outer.emplace("x", std::move(deep));
            deep = std::move(outer);
        }
    }
    Value copy(deep);
    EXPECT_TRUE(copy == deep);
    Value other;
    other = copy;
    deep = 2;
    EXPECT_FALSE(other == deep);
    EXPECT_LT(to_json(copy).size(), 10'000U);
    other = std::move(*copy.if_map()->begin()->second.if_array()->begin());
    EXPECT_FALSE(other == copy);
}

TEST(Value, JsonOfEveryKind) {
    Value tree;
    tree["a"] = Value::Array{nullptr, true, -1, 0.5, Bytes(3)};
    tree["b"] = Value::Map{};
    EXPECT_EQ(to_json(tree), R"({"a":[null,true,-1,0.5,{"bytes":3}],"b":{}})");
}

TEST(Value, JsonIsAlwaysValid) {
    EXPECT_EQ(to_json(Value("\"\\\n\x1b\x7f")), R"("\"\\\n\u001b\u007f")");
    EXPECT_EQ(to_json(Value("\xff")), "\"\xef\xbf\xbd\"");
    EXPECT_EQ(to_json(Value(std::numeric_limits<double>::infinity())), "null");
    EXPECT_EQ(to_json(Value(std::numeric_limits<double>::quiet_NaN())), "null");
    EXPECT_EQ(to_json(Value(std::string_view("\0", 1))), R"("\u0000")");
}

}  // namespace
TEST(Value, APartOfItselfCanBeMovedOrCopiedIntoIt) {
    Value value;
    value["list"] = Value::Array{1, "a text that is longer than a string holds in place"};
    auto copy = value;
    value = std::move(value["list"]);
    ASSERT_NE(value.if_array(), nullptr);
    EXPECT_EQ(value.if_array()->size(), 2U);
    copy = *copy.find("list");
    EXPECT_EQ(copy, value);
}

}  // namespace rankexec
