// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/shared_memory/arena.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <random>
#include <thread>

namespace rankexec {
namespace {

using testing::HasSubstr;
using Made = tl::expected<std::shared_ptr<Segment>, std::string>;

struct Arena : ::testing::Test {
    std::shared_ptr<ArenaSlots> slots = std::make_shared<ArenaSlots>();
    std::shared_ptr<ArenaReleases> releases = std::make_shared<ArenaReleases>();
    std::atomic<std::size_t> made = 0;  ///< segments are made on any thread
    std::size_t limit = 1000;
    ArenaWriter writer{*slots, slots, [this](std::uint64_t, std::size_t size) -> Made {
                           if (made == limit) return tl::unexpected<std::string>("no more");
                           auto segment = Segment::create(size, Segment::Access::read_write);
                           ++made;
                           return std::make_shared<Segment>(std::move(*segment));
                       }};
    ArenaReader reader{*slots, *releases, releases, [this](std::uint64_t number, std::size_t) -> Made {
                           if (auto segment = writer.segment(number)) return segment;
                           return tl::unexpected<std::string>("gone");
                       }};

    Arena() { writer.add_reader(*releases, releases); }

    ArenaReference send(const ArenaBlock& block) {
        const auto reference = *writer.refer_to(*block);
        writer.sent(std::span(&reference, 1));
        return reference;
    }
};

TEST_F(Arena, BytesArriveWhereTheyLie) {
    const auto block = writer.allocate(1000);
    ASSERT_TRUE(block);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block->data()) % 64, 0U);
    const auto taken = reader.take(send(block));
    ASSERT_TRUE(taken) << taken.error();
    EXPECT_EQ(taken->bytes.data(), block->data());
    EXPECT_EQ(taken->bytes.size(), 1000U);
}

TEST_F(Arena, ASlotIsUsedAgainOnlyWhenNobodyHasItAnyMore) {
    auto block = writer.allocate(1000);
    const auto* const place = block->data();
    auto first = *reader.take(send(block));
    auto second = *reader.take(send(block));
    block.reset();
    EXPECT_NE(writer.allocate(1000)->data(), place);
    first = {};
    EXPECT_NE(writer.allocate(1000)->data(), place);
    second = {};
    // The lowest free slot of that size.
    EXPECT_EQ(writer.allocate(1000)->data(), place);
}

TEST_F(Arena, AReaderThatHasEndedIsNotWaitedFor) {
    auto block = writer.allocate(1000);
    const auto* const place = block->data();
    (void)send(block);
    block.reset();
    EXPECT_NE(writer.allocate(1000)->data(), place);
    writer.remove_reader(*releases);
    EXPECT_EQ(writer.allocate(1000)->data(), place);
}

TEST_F(Arena, SegmentsFitTheirMessages) {
    for (std::size_t size = 1; size < (std::size_t{1} << 23U); size = size * 3 / 2 + 1) {
        const auto block = writer.allocate(size);
        const auto segment = send(block).segment_size;
        EXPECT_GE(segment, size);
        EXPECT_LE(segment, std::max<std::size_t>(64 * 1024, size + size / 4 + 4096));
        EXPECT_EQ(segment % 4096, 0U);
    }
}

TEST_F(Arena, WhenAllSlotsAreTakenThereIsNothingToBeHad) {
    std::vector<ArenaBlock> blocks;
    for (std::size_t slot = 0; slot < kArenaSlots; ++slot) blocks.push_back(writer.allocate(1000));
    EXPECT_FALSE(writer.allocate(1000));
    EXPECT_FALSE(writer.allocate(1'000'000));
    blocks.erase(blocks.begin());
    // It holds a small segment, which goes.
    EXPECT_TRUE(writer.allocate(1'000'000));
}

TEST_F(Arena, WhatWasNotUsedForManyMessagesIsDroppedOnBothSides) {
    auto burst = writer.allocate(1'000'000);
    const auto number = send(burst).segment;
    (void)*reader.take(send(burst));
    const std::weak_ptr<Segment> segment = writer.segment(number);
    burst.reset();
    for (int message = 0; message < 200; ++message) writer.sent({});
    EXPECT_FALSE(writer.segment(number));
    EXPECT_FALSE(segment.expired());
    reader.drop_unused();
    EXPECT_TRUE(segment.expired());
}

TEST_F(Arena, WhatIsHeldOutlivesReaderAndWriter) {
    auto slots_here = std::make_shared<ArenaSlots>();
    auto releases_here = std::make_shared<ArenaReleases>();
    std::optional<ArenaReader::Taken> taken;
    {
        ArenaWriter other(*slots_here, slots_here, [](std::uint64_t, std::size_t size) -> Made {
            return std::make_shared<Segment>(*Segment::create(size, Segment::Access::read_write));
        });
        ArenaReader here(*slots_here, *releases_here, releases_here,
                         [&other](std::uint64_t number, std::size_t) -> Made { return other.segment(number); });
        const auto block = other.allocate(100);
        std::ranges::fill(*block, std::byte{42});
        const auto reference = *other.refer_to(*block);
        taken = *here.take(reference);
    }
    EXPECT_TRUE(std::ranges::all_of(taken->bytes, [](std::byte byte) { return byte == std::byte{42}; }));
    taken.reset();
    EXPECT_EQ(releases_here->uses[0], 1U);
}

TEST_F(Arena, ForeignBytesAreNotReferredTo) {
    const auto block = writer.allocate(1000);
    std::array<std::byte, 100> elsewhere{};
    EXPECT_FALSE(writer.refer_to(elsewhere));
    EXPECT_TRUE(writer.refer_to(block->first(1)));
    EXPECT_FALSE(writer.refer_to({block->data() + 64 * 1024 - 10, 11}));
}

TEST_F(Arena, ReferencesThatMakeNoSenseAreErrors) {
    const auto block = writer.allocate(1000);
    const auto good = send(block);
    constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
    const auto refused = [&](auto change) {
        auto reference = good;
        change(reference);
        return !reader.take(reference);
    };
    EXPECT_TRUE(refused([](auto& it) { it.slot = kArenaSlots; }));
    EXPECT_TRUE(refused([](auto& it) { it.slot = kMost; }));
    EXPECT_TRUE(refused([](auto& it) { it.offset = kMost; }));
    EXPECT_TRUE(refused([](auto& it) { it.length = kMost; }));
    EXPECT_TRUE(refused([](auto& it) { it.offset = it.segment_size - 10; }));
    EXPECT_TRUE(refused([](auto& it) {
        it.segment_size = kMost;
        it.length = kMost;
        it.offset = 0;
    }));
    EXPECT_TRUE(refused([](auto& it) { it.segment = 99; }));
    const auto taken = reader.take(good);
    ASSERT_TRUE(taken);
    EXPECT_TRUE(refused([](auto& it) { it.segment = 99; }));
    EXPECT_TRUE(refused([](auto& it) { it.segment_size += 4096; }));
    std::mt19937_64 random(7);
    for (int turn = 0; turn < 20'000; ++turn) {
        auto reference = good;
        auto* const fields = reinterpret_cast<std::uint64_t*>(&reference);
        for (int change = 0; change < 2; ++change) {
            fields[random() % 6] = random() >> (random() % 64);
        }
        if (const auto got = reader.take(reference)) {
            EXPECT_LE(got->bytes.size(), good.segment_size);
            for (const auto byte : {got->bytes.empty() ? std::byte{} : got->bytes.back()}) (void)byte;
        }
    }
}

TEST_F(Arena, ManyThreadsAllocateAndLetGo) {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([this, thread] {
            for (int turn = 0; turn < 2000; ++turn) {
                const auto block = writer.allocate(500);
                ASSERT_TRUE(block);
                std::ranges::fill(*block, static_cast<std::byte>(thread));
                std::this_thread::yield();
                ASSERT_TRUE(std::ranges::all_of(
                    *block, [&](std::byte byte) { return byte == static_cast<std::byte>(thread); }));
            }
        });
    }
}

}  // namespace
}  // namespace rankexec
