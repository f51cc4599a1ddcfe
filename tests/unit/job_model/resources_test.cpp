// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/model/resources.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace rankexec::job {
namespace {

ResourceState site() {
    return {{{"0", 80'000, true}, {"1", 80'000, false}, {"2", 16'000, true}}, 16, 4, 64'000, 32'000};
}

TEST(J8_Resources, AShortfallSaysWhatIsMissing) {
    EXPECT_EQ(shortfall({}, site()), "");
    EXPECT_EQ(shortfall({2, 0, 4, 32'000}, site()), "");
    EXPECT_EQ(shortfall({3, 0, 0, 0}, site()), "needs 3 GPUs, 2 free");
    EXPECT_EQ(shortfall({2, 20'000, 0, 0}, site()), "needs 2 GPUs with 20000 MiB, 1 free");
    EXPECT_EQ(shortfall({0, 0, 5, 40'000}, site()), "needs 5 cores, 4 free; needs 40000 MiB of memory, 32000 free");
    EXPECT_EQ(shortfall({0, 0, 1, 0}, {}), "needs 1 core, 0 free");
}

TEST(J8_Resources, WhatOthersHoldCountsOnlyForNow) {
    EXPECT_EQ(shortfall_of_total({2, 20'000, 16, 64'000}, site()), "");
    EXPECT_EQ(shortfall_of_total({3, 20'000, 0, 0}, site()), "needs 3 GPUs with 20000 MiB, 2 there at all");
}

TEST(J8_Resources, SurviveTheWayThroughAMessage) {
    EXPECT_EQ(resource_state_from(to_value(site())), site());
    const ResourceNeed need{1, 2, 3, 4};
    EXPECT_EQ(resource_need_from(to_value(need)), need);
}

TEST(J8_Resources, NonsenseIsRefused) {
    auto value = to_value(site());
    value["free_cores"] = 17;  // of 16
    EXPECT_THROW(static_cast<void>(resource_state_from(value)), std::invalid_argument);
    value = to_value(site());
    (*value.if_map())["gpus"].if_array()->front()["free"] = 1;
    EXPECT_THROW(static_cast<void>(resource_state_from(value)), std::invalid_argument);
    auto need = to_value(ResourceNeed{});
    need["gpus"] = std::int64_t{1} << 40;
    EXPECT_THROW(static_cast<void>(resource_need_from(need)), std::invalid_argument);
    need["gpus"] = -1;
    EXPECT_THROW(static_cast<void>(resource_need_from(need)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(resource_need_from(Value())), std::invalid_argument);
}

}  // namespace
}  // namespace rankexec::job
