// SPDX-License-Identifier: Apache-2.0
// The sender refuses what the receiver would refuse, and names the limit.
#include <gtest/gtest.h>

#include <limits>

#include "samples.hpp"

namespace rankexec::wire::test {
namespace {

/// Encodes under `limits`, and decodes under them what was encoded without.
void expect_refused_on_both_sides(const Message& message, const Limits& limits, std::string_view part_of_message) {
    const auto encoded = encode(golden_envelope(), message, limits);
    ASSERT_FALSE(encoded);
    EXPECT_NE(encoded.error().find(part_of_message), std::string::npos) << encoded.error();
    EXPECT_EQ(encoded.error().find(name_of(message)), 0U) << encoded.error();
    const auto unlimited = encode(golden_envelope(), message);
    ASSERT_TRUE(unlimited) << unlimited.error();
    const auto decoded = decode(*unlimited, limits);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().kind, DecodeError::Kind::body);
    EXPECT_TRUE(decode(*unlimited));
}

Execute with_tensors(std::size_t count, std::size_t bytes) {
    Execute execute;
    const std::vector<std::byte> content(bytes);
    for (std::size_t index = 0; index < count; ++index) {
        execute.input.tensors["t" + std::to_string(index)] =
            Tensor::copy_bytes(DType::uint8, {static_cast<std::int64_t>(bytes)}, content);
    }
    return execute;
}

TEST(Limits, BodySize) {
    AbortTask message{1, std::string(1000, 'x')};
    expect_refused_on_both_sides(message, {.body_bytes = 500}, "500 bytes");
}

TEST(Limits, MessageSize) { expect_refused_on_both_sides(with_tensors(2, 600), {.message_bytes = 1000}, "1000 bytes"); }

TEST(Limits, Frames) { expect_refused_on_both_sides(with_tensors(3, 1), {.frames = 4}, "5 frames"); }

TEST(Limits, Text) {
    expect_refused_on_both_sides(AbortTask{1, std::string(101, 'x')}, {.text_bytes = 100}, "text of 101 bytes");
    expect_refused_on_both_sides(RankInput{0, Bytes(101)}, {.text_bytes = 100}, "bytes of 101 bytes");
}

TEST(Limits, Depth) {
    Execute execute;
    for (int level = 0; level < 11; ++level) execute.input.body = Value::Array{execute.input.body};
    expect_refused_on_both_sides(execute, {.depth = 10}, "more than 10 deep");
    execute.input.body = nullptr;
    for (int level = 0; level < 11; ++level) execute.input.body = Value::Map{{"k", execute.input.body}};
    expect_refused_on_both_sides(execute, {.depth = 10}, "more than 10 deep");
}

TEST(Limits, Nodes) {
    Execute execute;
    execute.input.body = Value::Array(100);
    expect_refused_on_both_sides(execute, {.nodes = 50}, "more than 50 values");
    execute.input.body = Value::Array(40);
    EXPECT_TRUE(encode(golden_envelope(), execute, {.nodes = 60}));
}

TEST(Limits, Dimensions) {
    Execute execute;
    execute.input.tensors["t"] = Tensor::copy_bytes(DType::uint8, Shape(5, 1), Bytes(1));
    expect_refused_on_both_sides(execute, {.dimensions = 4}, "5 dimensions");
}

TEST(Limits, WhatCannotBeExpressedIsRefusedByTheSender) {
    EXPECT_FALSE(encode(golden_envelope(), Close{std::numeric_limits<std::uint64_t>::max(), ""}));
    EXPECT_TRUE(encode(golden_envelope(), Close{std::numeric_limits<std::int64_t>::max(), ""}));
    Execute execute;
    execute.input.tensors["t"] = Tensor::copy_bytes(DType::boolean, {1}, Bytes{std::byte{7}});
    EXPECT_FALSE(encode(golden_envelope(), execute));
    auto envelope = golden_envelope();
    envelope.run_id.assign(65, 'x');
    EXPECT_FALSE(encode(envelope, Attach{}));
}

TEST(Limits, DefaultsTakeAFullValueTreeAndAThousandTensors) {
    const auto many = with_tensors(1024, 1);
    const auto frames = encode(golden_envelope(), many);
    ASSERT_TRUE(frames) << frames.error();
    const auto decoded = decode(*frames);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_TRUE(std::get<Execute>(decoded->message) == many);
    EXPECT_FALSE(encode(golden_envelope(), with_tensors(1025, 1)));
}

}  // namespace
}  // namespace rankexec::wire::test
