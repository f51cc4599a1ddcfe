// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <map>
#include <mutex>
#include <vector>

#include "rankexec/tests/unit/multi_process/test_group.hpp"

namespace rankexec {
namespace {

class M5_Task : public Group {};
INSTANTIATE_TEST_SUITE_P(, M5_Task, kTransports, name_of);

TEST_P(M5_Task, RankZerosResultAndContextChangesAreMerged) {
    start(3);
    Shareable input = with_headers({{"round", 4}});
    input.body["nested"]["text"] = "hello";
    const std::vector<float> numbers{1.5F, -2.0F, 3.25F};
    input.tensors.emplace("weights", Tensor::copy_of<float>(numbers, {3}));
    context.set("learning_rate", 0.5);
    const auto reply = execute("echo", input);
    ASSERT_TRUE(reply.ok()) << reply.failure->describe();
    EXPECT_EQ(reply.header("rank")->integer_or(-1), 0);
    EXPECT_EQ(reply.header("round")->integer_or(-1), 4);
    EXPECT_EQ(reply.header("world_size")->integer_or(-1), 3);
    EXPECT_EQ(reply.body, input.body);
    EXPECT_EQ(*reply.tensor("weights"), *input.tensor("weights"));
    EXPECT_EQ(context.integer_or("last_rank", -1), 0);
    EXPECT_EQ(context.integer_or("by_rank_0", -1), 0);
    EXPECT_FALSE(context.get("by_rank_1"));
}

TEST_P(M5_Task, OutputOfRanksReachesTheParent) {
    auto options = options_for(2);
    std::mutex mutex;
    std::map<std::pair<int, wire::OutputStream>, std::string> seen;
    options.on_output = [&](int rank, wire::OutputStream stream, std::string_view bytes) {
        const std::lock_guard lock(mutex);
        seen[{rank, stream}] += bytes;
    };
    start(options);
    ASSERT_TRUE(execute("print").ok());
    executor->finalise();
    for (int rank = 0; rank < 2; ++rank) {
        EXPECT_EQ((seen[{rank, wire::OutputStream::standard_output}]), "out of rank " + std::to_string(rank) + "\n");
        EXPECT_EQ((seen[{rank, wire::OutputStream::standard_error}]), "err of rank " + std::to_string(rank) + "\n");
    }
    executor.reset();
}

}  // namespace
}  // namespace rankexec
