// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/channel/event_order.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace rankexec {
namespace {

struct Numbered {
    std::uint64_t event_id = 0;
};

std::vector<std::uint64_t> due(EventOrder<Numbered>& order) {
    std::vector<std::uint64_t> numbers;
    while (const auto event = order.next()) numbers.push_back(event->event_id);
    return numbers;
}

using Numbers = std::vector<std::uint64_t>;

TEST(EventOrder, OneWayAloneKeepsItsOrder) {
    EventOrder<Numbered> order;
    EXPECT_EQ(due(order), Numbers{});
    for (std::uint64_t number = 1; number <= 3; ++number) {
        EXPECT_TRUE(order.add_from_ring({number}));
        EXPECT_EQ(due(order), Numbers{number});
    }
    for (std::uint64_t number = 4; number <= 6; ++number) EXPECT_TRUE(order.add_from_channel({number}));
    EXPECT_EQ(due(order), (Numbers{4, 5, 6}));
}

TEST(EventOrder, AnEventThatIsMissingHoldsUpThoseBehindIt) {
    EventOrder<Numbered> order;
    EXPECT_TRUE(order.add_from_ring({3}));
    EXPECT_FALSE(order.may_read_ring());
    EXPECT_EQ(due(order), Numbers{});
    EXPECT_TRUE(order.add_from_channel({2}));
    EXPECT_TRUE(order.add_from_channel({4}));
    EXPECT_EQ(due(order), Numbers{});
    EXPECT_TRUE(order.add_from_channel({1}));
    EXPECT_EQ(due(order), (Numbers{1, 2, 3, 4}));
    EXPECT_TRUE(order.may_read_ring());
}

TEST(EventOrder, ANumberThatComesTwiceIsTold) {
    EventOrder<Numbered> order;
    EXPECT_TRUE(order.add_from_channel({1}));
    EXPECT_FALSE(order.add_from_channel({1}));
    EXPECT_EQ(due(order), Numbers{1});
    EXPECT_FALSE(order.add_from_channel({1}));
    EXPECT_FALSE(order.add_from_ring({1}));
    EXPECT_FALSE(order.add_from_ring({0}));
    EXPECT_TRUE(order.add_from_ring({2}));
    EXPECT_EQ(due(order), Numbers{2});
}

TEST(EventOrder, WhatWaitsForAnEventThatNeverComesIsBounded) {
    EventOrder<Numbered> order;
    std::uint64_t number = 2;
    while (number < 100'000 && order.add_from_channel({number})) ++number;
    EXPECT_LT(number, 10'000U);
}

}  // namespace
}  // namespace rankexec
