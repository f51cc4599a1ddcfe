// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/name_map.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "rankexec/core/model/value.hpp"

namespace {

using rankexec::NameMap;
using rankexec::Value;
using testing::ElementsAre;
using testing::Pair;
using Numbers = NameMap<int>;

TEST(NameMap, IsOrderedByName) {
    const Numbers map{{"c", 3}, {"a", 1}, {"b", 2}, {"a", 9}};
    EXPECT_THAT(map, ElementsAre(Pair("a", 1), Pair("b", 2), Pair("c", 3)));
    EXPECT_EQ(map.at("b"), 2);
    EXPECT_EQ(map.find("d"), map.end());
    EXPECT_FALSE(map.contains(""));
    EXPECT_EQ(map.count("c"), 1U);
    EXPECT_THROW((void)map.at("d"), std::out_of_range);
}

TEST(NameMap, BehavesAsAStandardMap) {
    std::mt19937 random(7);
    Numbers map;
    std::map<std::string, int, std::less<>> expected;
    for (int step = 0; step < 20'000; ++step) {
        const auto name = std::to_string(random() % 200);
        switch (random() % 5) {
            case 0: EXPECT_EQ(map.erase(name), expected.erase(name)); break;
            case 1: EXPECT_EQ(map.try_emplace(name, step).second, expected.try_emplace(name, step).second); break;
            case 2:
                EXPECT_EQ(map.insert_or_assign(name, step).second, expected.insert_or_assign(name, step).second);
                break;
            case 3: map[name] = expected[name] = step; break;
            default: EXPECT_EQ(map.contains(name), expected.contains(name)); break;
        }
        ASSERT_TRUE(std::ranges::equal(map, expected)) << "after step " << step;
    }
}

TEST(NameMap, EntriesStayWhereTheyAre) {
    NameMap<std::string> map;
    std::vector<const std::string*> entries;
    for (int index = 0; index < 1000; ++index) {
        const auto name = std::to_string((index * 7919) % 1000);
        entries.push_back(&(map[name] = name));
    }
    for (int index = 0; index < 1000; index += 2) map.erase(std::to_string((index * 7919) % 1000));
    auto moved = std::move(map);
    for (int index = 1; index < 1000; index += 2) {
        EXPECT_EQ(&moved.at(std::to_string((index * 7919) % 1000)), entries[static_cast<std::size_t>(index)]);
    }
    EXPECT_TRUE(map.empty());  // NOLINT(bugprone-use-after-move): what was moved from can be used again
    map["again"] = "x";
    EXPECT_EQ(map.size(), 1U);
}

TEST(NameMap, AnEntryMayBeMadeFromAnother) {
    Value value;
    value["a"] = "a text that is longer than a string holds in place";
    for (int index = 0; index < 100; ++index) value[std::to_string(index)] = value["a"];
    EXPECT_EQ(value["99"], value["a"]);
}

TEST(NameMap, EraseIfKeepsOrderAndRoom) {
    Numbers map;
    for (int index = 0; index < 100; ++index) map[std::to_string(index)] = index;
    const auto* const kept = &map.at("7");
    EXPECT_EQ(erase_if(map, [](const auto& entry) { return entry.second % 2 == 0; }), 50U);
    EXPECT_EQ(map.size(), 50U);
    EXPECT_EQ(&map.at("7"), kept);
    EXPECT_TRUE(std::ranges::is_sorted(map, {}, [](const auto& entry) { return entry.first; }));
    for (int index = 0; index < 100; ++index) map[std::to_string(index)] = -index;
    EXPECT_EQ(map.at("42"), -42);
}

TEST(NameMap, CopiesAreDeep) {
    NameMap<std::string> map{{"a", "1"}, {"b", "2"}};
    auto copy = map;
    copy["a"] = "changed";
    copy.erase("b");
    EXPECT_THAT(map, ElementsAre(Pair("a", "1"), Pair("b", "2")));
    map = copy;
    EXPECT_EQ(map, copy);
    map = *&map;
    EXPECT_EQ(map, copy);
    swap(map, copy);
    EXPECT_THAT(map, ElementsAre(Pair("a", "changed")));
}

struct Fragile {
    static inline int alive = 0;
    static inline int until_throw = 0;
    Fragile() { ++alive; }
    Fragile(const Fragile&) {
        if (--until_throw == 0) throw std::runtime_error("no copy");
        ++alive;
    }
    Fragile& operator=(const Fragile&) = default;
    ~Fragile() { --alive; }
};

TEST(NameMap, WhatThrowsLeavesNothingBehind) {
    {
        NameMap<Fragile> map;
        for (const char* name : {"a", "b", "c", "d", "e", "f"}) map[name];
        Fragile::until_throw = 4;
        EXPECT_THROW(NameMap<Fragile>{map}, std::runtime_error);
        EXPECT_EQ(Fragile::alive, 6);
        const Fragile another;
        Fragile::until_throw = 4;
        EXPECT_THROW(NameMap<Fragile>(map.begin(), map.end()), std::runtime_error);
        Fragile::until_throw = 1;
        EXPECT_THROW(map.try_emplace("bb", another), std::runtime_error);
        EXPECT_FALSE(map.contains("bb"));
        EXPECT_EQ(map.size(), 6U);
    }
    EXPECT_EQ(Fragile::alive, 0);
}

TEST(NameMap, ABuilderTakesAnyOrderAndNoNameTwice) {
    Numbers::Builder builder(2);
    for (const int number : {5, 3, 9, 1}) builder.add(std::to_string(number)) = number;
    const auto built = builder.finish();
    ASSERT_TRUE(built);
    EXPECT_THAT(*built, ElementsAre(Pair("1", 1), Pair("3", 3), Pair("5", 5), Pair("9", 9)));

    for (const char* name : {"b", "a", "b"}) builder.add(name);
    EXPECT_FALSE(builder.finish());
    builder.add("a");
    builder.add("a");
    EXPECT_FALSE(builder.finish());
    EXPECT_TRUE(builder.finish()->empty());
}

}  // namespace
