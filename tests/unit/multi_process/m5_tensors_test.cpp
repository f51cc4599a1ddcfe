// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "rankexec/tests/unit/multi_process/test_group.hpp"

namespace rankexec {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Different in every place, and for every seed.
Tensor tensor_of(std::size_t elements, int seed) {
    auto buffer = TensorBuffer::make(DType::int64, {static_cast<std::int64_t>(elements)});
    std::int64_t next = seed;
    for (auto& element : buffer.elements<std::int64_t>()) element = next += 7;
    return std::move(buffer).finish();
}

class M5_Tensors : public Group {};
INSTANTIATE_TEST_SUITE_P(, M5_Tensors, kTransports, name_of);

/// Neither fits into a ring of shared memory.
TEST_P(M5_Tensors, LargeTasksAndResultsFindAWay) {
    start(2);
    Shareable input;
    for (const std::size_t size : {1U << 10U, 1U << 15U, 1U << 16U, 1U << 18U, 1U << 20U, 1U << 24U, 1U << 12U}) {
        input.body["bytes"] = Bytes(size, std::byte{7});
        const auto reply = execute("echo", input);
        ASSERT_TRUE(reply.ok()) << reply.failure->describe();
        EXPECT_EQ(reply.body, input.body);
    }
}

TEST_P(M5_Tensors, TensorsOfAllSizesTravelBothWays) {
    start(2);
    int seed = 0;
    for (const std::size_t elements : {0UL, 1UL, 2047UL, 2048UL, 5000UL, 100'000UL, 3'000'000UL, 100'000UL, 7UL}) {
        Shareable input;
        input.tensors.emplace("one", tensor_of(elements, ++seed));
        input.tensors.emplace("small", tensor_of(10, ++seed));
        input.tensors.emplace("two", tensor_of(elements / 2, ++seed));
        ExecuteOptions options;
        options.all_results = true;
        const auto reply = executor->execute("echo", input, context, abort, options);
        ASSERT_TRUE(reply.reply.ok()) << reply.reply.failure->describe();
        for (const auto& result : reply.results) EXPECT_EQ(result.tensors, input.tensors) << elements;
    }
}

TEST_P(M5_Tensors, TensorsThatAreBuiltInPlaceArrive) {
    start(3);
    std::vector<Tensor> sent;
    for (int turn = 0; turn < 20; ++turn) {
        auto buffer = executor->allocate(DType::float32, {3, 50'000});
        for (auto& element : buffer.elements<float>()) element = static_cast<float>(turn);
        Shareable input;
        input.tensors.emplace("x", std::move(buffer).finish());
        const auto reply = execute("echo", input);
        ASSERT_TRUE(reply.ok()) << reply.failure->describe();
        EXPECT_EQ(*reply.tensor("x"), *input.tensor("x"));
        if (turn % 3 == 0) sent.push_back(*input.tensor("x"));
    }
    for (std::size_t index = 0; index < sent.size(); ++index) {
        EXPECT_EQ(sent[index].elements<float>()[149'999], static_cast<float>(3 * index));
    }
}

TEST_P(M5_Tensors, ResultsThatAreBuiltInPlaceStayValidForEver) {
    start(2);
    std::vector<Shareable> results;
    for (const std::int64_t elements : {10, 10'000, 1'000'000, 10'000}) {
        const auto reply =
            executor->execute("build", with_headers({{"elements", elements}}), context, abort, {.all_results = true});
        ASSERT_TRUE(reply.reply.ok()) << reply.reply.failure->describe();
        results.insert(results.end(), reply.results.begin(), reply.results.end());
    }
    executor->finalise();
    executor.reset();
    for (std::size_t index = 0; index < results.size(); ++index) {
        const auto elements = results[index].tensor("built")->elements<double>();
        for (std::size_t at = 0; at < elements.size(); ++at) {
            ASSERT_EQ(elements[at], static_cast<double>(at) + static_cast<double>(index % 2) / 2);
        }
    }
}

TEST_P(M5_Tensors, SharedMemoryIsReturnedWithTheGroup) {
    start(2);
    Shareable input;
    input.tensors.emplace("x", tensor_of(100'000, 1));
    ASSERT_TRUE(execute("echo", input).ok());
    executor->finalise();
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) EXPECT_THAT(line, Not(HasSubstr("memfd:rankexec")));
}

TEST_P(M5_Tensors, HeldResultsTakeNoDescriptors) {
    start(2);
    const auto built = executor->allocate(DType::uint8, {100'000});
    std::vector<GroupReply> held;
    for (int turn = 0; turn < 10; ++turn) {
        const auto input = with_headers({{"elements", 10'000}});
        held.push_back(executor->execute("build", input, context, abort, {.all_results = true}));
        ASSERT_TRUE(held.back().reply.ok());
    }
    executor->finalise();
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        EXPECT_THAT(std::filesystem::read_symlink(entry, gone).string(), Not(HasSubstr("memfd:rankexec")));
    }
}

TEST_P(M5_Tensors, WhatDoesNotFitIntoSharedMemoryFindsAnotherWay) {
    auto options = options_for(2);
    options.shared_memory_limit = 1'000'000;
    start(options);
    std::vector<Shareable> held;
    for (int turn = 0; turn < 12; ++turn) {
        Shareable input;
        input.tensors.emplace("x", tensor_of(turn % 4 == 3 ? 1'000'000 : 30'000, turn));
        held.push_back(execute("echo", input));
        ASSERT_TRUE(held.back().ok()) << held.back().failure->describe();
        EXPECT_EQ(*held.back().tensor("x"), *input.tensor("x"));
    }
    for (std::size_t turn = 0; turn < held.size(); ++turn) {
        EXPECT_EQ(held[turn].tensor("x")->elements<std::int64_t>()[99], static_cast<std::int64_t>(turn) + 700);
    }
    EXPECT_TRUE(executor->allocate(DType::uint8, {100'000'000}).bytes().size() == 100'000'000);
}

}  // namespace
}  // namespace rankexec
