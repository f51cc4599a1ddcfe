// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/tensor.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace rankexec {
namespace {

TEST(Tensor, DefaultIsEmpty) {
    const Tensor tensor;
    EXPECT_EQ(tensor.dtype(), DType::float32);
    EXPECT_EQ(tensor.shape(), Shape{0});
    EXPECT_TRUE(tensor.bytes().empty());
    EXPECT_TRUE(tensor.elements<float>().empty());
}

TEST(Tensor, CopiesElementsAndShapes) {
    std::vector<std::int32_t> source{1, 2, 3, 4, 5, 6};
    const auto tensor = Tensor::copy_of<std::int32_t>(source, {2, 3});
    source[0] = 99;
    EXPECT_EQ(tensor.elements<std::int32_t>()[0], 1);
    EXPECT_EQ(tensor.shape(), (Shape{2, 3}));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes().data()) % 64, 0U);
}

TEST(Tensor, TheEmptyShapeIsAScalar) {
    EXPECT_EQ(element_count({}), 1);
    const double value = 2.5;
    const auto tensor = Tensor::copy_of(std::span(&value, 1), {});
    EXPECT_EQ(tensor.elements<double>()[0], 2.5);
}

TEST(Tensor, CopiesShareTheBytesAndTheLastOneReleasesThem) {
    auto owner = std::make_shared<std::array<std::byte, 4>>();
    const std::weak_ptr<void> watched = owner;
    {
        Tensor copy;
        {
            const auto tensor = Tensor::adopt(DType::uint8, {4}, *owner, owner);
            EXPECT_EQ(tensor.bytes().data(), owner->data());
            owner.reset();
            copy = tensor;
        }
        EXPECT_FALSE(watched.expired());
        EXPECT_EQ(copy.bytes().size(), 4U);
    }
    EXPECT_TRUE(watched.expired());
}

TEST(Tensor, AShapeThatTheBytesDoNotFillIsRefused) {
    const std::array<float, 4> source{};
    EXPECT_THROW((void)Tensor::copy_of<float>(source, {3}), std::invalid_argument);
    EXPECT_THROW((void)Tensor::copy_of<float>(source, {-1, -4}), std::invalid_argument);
    EXPECT_THROW((void)Tensor::copy_of<float>(source, {}), std::invalid_argument);
    EXPECT_THROW((void)Tensor::copy_bytes(static_cast<DType>(99), {16}, std::as_bytes(std::span(source))),
                 std::invalid_argument);
    // 2^62 elements of four bytes are 2^64 bytes, which is nothing in 64 bits.
    EXPECT_THROW((void)Tensor::copy_bytes(DType::float32, {std::int64_t{1} << 62}, {}), std::invalid_argument);
}

TEST(Tensor, ElementCountsThatOverflowAreNone) {
    EXPECT_EQ(element_count({std::int64_t{1} << 62, 4}), std::nullopt);
    EXPECT_EQ(element_count({-1}), std::nullopt);
    EXPECT_EQ(element_count({5, 0, 7}), 0);
}

TEST(Tensor, ElementsMustBeOfTheTypeAndAligned) {
    alignas(8) const std::array<std::byte, 16> memory{};
    const auto aligned = Tensor::adopt(DType::float32, {2}, std::span(memory).first(8), nullptr);
    EXPECT_EQ(aligned.elements<float>().size(), 2U);
    EXPECT_THROW((void)aligned.elements<std::int32_t>(), std::invalid_argument);
    const auto unaligned = Tensor::adopt(DType::float32, {2}, std::span(memory).subspan(1, 8), nullptr);
    EXPECT_EQ(unaligned.bytes().size(), 8U);
    EXPECT_THROW((void)unaligned.elements<float>(), std::invalid_argument);
}

TEST(Tensor, EqualityIsTypeShapeAndBytes) {
    const std::array<float, 2> ones{1, 1};
    const auto tensor = Tensor::copy_of<float>(ones, {2});
    EXPECT_EQ(tensor, Tensor::copy_of<float>(ones, {2}));
    EXPECT_FALSE(tensor == Tensor::copy_of<float>(ones, {1, 2}));
    EXPECT_FALSE(tensor == Tensor::copy_bytes(DType::int32, {2}, tensor.bytes()));
}

TEST(Tensor, EveryElementTypeHasANameAndASize) {
    for (int number = 0; number <= static_cast<int>(DType::float64); ++number) {
        EXPECT_GT(element_size(static_cast<DType>(number)), 0U) << number;
        EXPECT_NE(to_string(static_cast<DType>(number)), "unknown") << number;
    }
    EXPECT_EQ(element_size(static_cast<DType>(13)), 0U);
    EXPECT_EQ(to_string(DType::bfloat16), "bfloat16");
}

}  // namespace
}  // namespace rankexec
