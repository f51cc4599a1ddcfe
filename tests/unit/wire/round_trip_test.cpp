// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <limits>

#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec::wire {
namespace {

Envelope envelope() {
    return {.run_id = "0123456789abcdef0123456789abcdef", .incarnation = 2, .rank = 3, .sequence = 4};
}

Execute execute_with_everything() {
    Execute execute;
    execute.task_id = 7;
    execute.task = "train";
    execute.results = ResultsWanted::all;
    execute.context["round"] = {3, Visibility::public_, Lifetime::sticky};
    execute.input.headers["kind"] = "weights";
    execute.input.body["list"] = Value::Array{nullptr, true, -1, 2.5, "text", Bytes{std::byte{1}}, Value::Map{}};
    const std::vector<float> elements{1, 2, 3, 4, 5, 6};
    execute.input.tensors["w"] = Tensor::copy_of(std::span(elements), {2, 3});
    execute.input.tensors["none"] = Tensor();
    return execute;
}

TEST(Codec, MessageWithTensorsSurvivesTheRoundTrip) {
    const auto frames = encode(envelope(), execute_with_everything());
    ASSERT_TRUE(frames) << frames.error();
    ASSERT_EQ(frames->size(), 4U);
    const auto decoded = decode(*frames);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(std::get<Execute>(decoded->message), execute_with_everything());
    EXPECT_EQ(decoded->envelope.type, 4);
    EXPECT_EQ(decoded->envelope.run_id, envelope().run_id);
    EXPECT_EQ(decoded->envelope.sequence, 4U);
}

TEST(Codec, EveryRealArrivesAsTheSameReal) {
    Execute execute;
    execute.input.body = Value::Array{0.0,
                                      -0.0,
                                      1.0,
                                      -3.0,
                                      1e300,
                                      std::numeric_limits<double>::denorm_min(),
                                      std::numeric_limits<double>::infinity(),
                                      -std::numeric_limits<double>::quiet_NaN()};
    const auto frames = encode(envelope(), execute);
    ASSERT_TRUE(frames) << frames.error();
    const auto decoded = decode(*frames);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(std::get<Execute>(decoded->message).input.body, execute.input.body);
}

TEST(Codec, TensorBytesAreNeverCopied) {
    const auto message = execute_with_everything();
    const auto frames = encode(envelope(), message);
    ASSERT_TRUE(frames);
    const auto decoded = decode(*frames);
    ASSERT_TRUE(decoded);
    const auto& arrived = std::get<Execute>(decoded->message).input.tensors.at("w");
    EXPECT_EQ(arrived.bytes().data(), message.input.tensors.at("w").bytes().data());
}

TEST(Codec, DecodedTensorsOutliveTheFramesThatBroughtThem) {
    auto frames = encode(envelope(), execute_with_everything());
    ASSERT_TRUE(frames);
    auto decoded = decode(*frames);
    ASSERT_TRUE(decoded);
    frames->clear();
    EXPECT_EQ(std::get<Execute>(decoded->message), execute_with_everything());
}

}  // namespace
}  // namespace rankexec::wire
