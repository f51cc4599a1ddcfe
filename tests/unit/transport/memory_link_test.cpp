// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/memory_link.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace rankexec {
namespace {

using testing::HasSubstr;
using Taken = RingReader::Taken;

wire::Frame frame_of(std::string text) {
    auto owner = std::make_shared<std::string>(std::move(text));
    return {std::as_bytes(std::span(owner->data(), owner->size())), owner};
}
std::string text_of(const std::vector<wire::Frame>& frames) {
    std::string text;
    for (const auto& frame : frames) {
        text.append(reinterpret_cast<const char*>(frame.bytes.data()), frame.bytes.size()).append("|");
    }
    return text;
}

/// As it arrives in another process.
ReceivedHandover handed_over(const HandoverServer::Handover& handover) {
    ReceivedHandover received;
    received.bytes = handover.bytes;
    for (const int descriptor : handover.descriptors) {
        received.descriptors.emplace_back(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
    }
    return received;
}

struct MemoryLink : ::testing::Test {
    std::unique_ptr<RankMemory> join(int rank) {
        const auto ask = [this, rank](const HandoverWish& wish) -> tl::expected<ReceivedHandover, std::string> {
            ++asked;
            const auto handover = parent->hand_over(rank, wish);
            if (!handover) return tl::unexpected(handover.error());
            return handed_over(*handover);
        };
        auto offer = ask({});
        EXPECT_TRUE(offer) << offer.error();
        auto joined = RankMemory::accept(std::move(*offer), rank, 3, ask);
        EXPECT_TRUE(joined) << joined.error();
        return joined ? std::move(*joined) : nullptr;
    }
    static constexpr std::size_t kPayloads = std::size_t{1} << 20U;
    std::shared_ptr<ParentMemory> parent = *ParentMemory::create(3, {4096, 1024, 1024, kPayloads});
    std::atomic<int> asked{0};
};

TEST_F(MemoryLink, TasksReachAllRanksAndAnswersComeBack) {
    std::vector<std::unique_ptr<RankMemory>> ranks;
    for (const int rank : {0, 1, 2}) ranks.push_back(join(rank));
    for (int turn = 0; turn < 300; ++turn) {
        const auto text = "task " + std::to_string(turn);
        ASSERT_TRUE(parent->send_to_all(std::vector{frame_of("envelope"), frame_of(text)}));
        for (std::size_t rank = 0; rank < 3; ++rank) {
            ASSERT_TRUE(ranks[rank]->has_message());
            EXPECT_EQ(text_of(ranks[rank]->receive().frames), "envelope|" + text + "|");
            ASSERT_TRUE(ranks[rank]->send(std::vector{frame_of(text), frame_of(std::to_string(rank))}));
        }
        for (const int rank : {2, 0, 1}) {
            EXPECT_EQ(text_of(parent->receive(rank).frames), text + "|" + std::to_string(rank) + "|");
            EXPECT_EQ(parent->receive(rank).taken, Taken::nothing);
        }
    }
}

TEST_F(MemoryLink, ARankThatComesLaterBeginsThere) {
    const auto first = join(1);
    ASSERT_TRUE(parent->send_to_all(std::vector{frame_of("before")}));
    const auto second = join(2);
    EXPECT_FALSE(second->has_message());
    ASSERT_TRUE(parent->send_to_all(std::vector{frame_of("after")}));
    EXPECT_EQ(text_of(second->receive().frames), "after|");
    EXPECT_EQ(text_of(first->receive().frames), "before|");
}

TEST_F(MemoryLink, ARankGetsItsMemoryOnce) {
    EXPECT_FALSE(parent->has(0));
    const auto rank = join(0);
    EXPECT_TRUE(parent->has(0));
    EXPECT_FALSE(parent->hand_over(0, {}));
    parent->drop(0);
    EXPECT_FALSE(parent->has(0));
    EXPECT_FALSE(parent->hand_over(0, {}));
    parent->drop(1);
    EXPECT_FALSE(parent->hand_over(1, {}));
    // What was mapped stays where it is.
    EXPECT_TRUE(rank->send(std::vector{frame_of("to nobody")}));
}

TEST_F(MemoryLink, WhoReadsNothingHoldsUpUntilItIsDropped) {
    const auto quick = join(0);
    const auto slow = join(1);
    const std::vector task{frame_of(std::string(1000, 'x'))};
    int sent = 0;
    for (; parent->send_to_all(task); ++sent) EXPECT_EQ(quick->receive().taken, Taken::message);
    EXPECT_EQ(sent, 4);
    parent->drop(1);
    EXPECT_TRUE(parent->send_to_all(task));
    EXPECT_FALSE(parent->send_to_all(std::vector{frame_of(std::string(5000, 'x'))}));
}

TEST_F(MemoryLink, WhatAForkedChildLetsGoIsStillHeldByItsParent) {
    const auto rank = join(0);
    const auto task_of = [](char content) {
        return std::vector{frame_of("envelope"), frame_of("body"), frame_of(std::string(100'000, content))};
    };
    ASSERT_TRUE(parent->send_to_all(task_of('a')));
    auto held = rank->receive();
    const auto child = ::fork();
    if (child == 0) {
        held = {};
        ::_exit(0);
    }
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    for (int turn = 0; turn < 5; ++turn) {
        ASSERT_TRUE(parent->send_to_all(task_of('b')));
        EXPECT_EQ(rank->receive().taken, Taken::message);
    }
    EXPECT_EQ(text_of(held.frames), "envelope|body|" + std::string(100'000, 'a') + "|");
}

TEST_F(MemoryLink, AWaitIsEndedByAnAnswer) {
    const auto rank = join(0);
    const Interrupt interrupt;
    const std::jthread other([&] {
        EXPECT_TRUE(rank->wait(interrupt, 0));
        EXPECT_TRUE(rank->send(rank->receive().frames));
    });
    ASSERT_TRUE(parent->send_to_all(std::vector{frame_of("task")}));
    EXPECT_TRUE(parent->wait(0, interrupt, 0, std::nullopt));
    EXPECT_EQ(text_of(parent->receive(0).frames), "task|");
}

TEST_F(MemoryLink, EventsTravelBothWaysBesideTasks) {
    using Sent = FrameRingWriter::Sent;
    std::vector<std::unique_ptr<RankMemory>> ranks;
    for (const int rank : {0, 1, 2}) ranks.push_back(join(rank));
    ASSERT_TRUE(parent->carries_events());
    const auto event_of = [](int number) { return std::vector{frame_of("event"), frame_of(std::to_string(number))}; };
    for (int turn = 0; turn < 100; ++turn) {
        ASSERT_EQ(parent->send_event(event_of(turn)), Sent::yes);
        for (const int rank : {0, 1, 2}) {
            auto& it = *ranks[static_cast<std::size_t>(rank)];
            ASSERT_TRUE(it.carries_events());
            EXPECT_EQ(text_of(it.parent_events().receive().frames), "event|" + std::to_string(turn) + "|");
            ASSERT_EQ(it.events().send(event_of(rank)), Sent::yes);
            EXPECT_EQ(text_of(parent->events_of(rank).receive().frames), "event|" + std::to_string(rank) + "|");
            ASSERT_EQ(parent->send_event_answer(rank, event_of(turn + rank)), Sent::yes);
            EXPECT_EQ(text_of(it.event_answers().receive().frames), "event|" + std::to_string(turn + rank) + "|");
            EXPECT_FALSE(it.has_message());
        }
    }
    while (ranks[1]->events().send(event_of(1)) == Sent::yes) continue;
    EXPECT_EQ(ranks[1]->events().send(event_of(1)), Sent::no_room);
    EXPECT_EQ(ranks[1]->events().send(std::vector{frame_of(std::string(2000, 'x'))}), Sent::never);
    const Interrupt nobody;
    const std::jthread reader([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) (void)parent->events_of(1).receive();
    });
    for (int sent = 0; sent < 150; ++sent) {
        while (ranks[1]->events().send(event_of(1)) != Sent::yes) ranks[1]->events().wait_for_room(nobody, 0);
    }
}

TEST_F(MemoryLink, AnotherOfferIsRefused) {
    const auto offer = *parent->hand_over(0, {});
    EXPECT_THAT(RankMemory::accept(handed_over(offer), 1, 3, {}).error(), HasSubstr("another rank"));
    EXPECT_THAT(RankMemory::accept(handed_over(offer), 0, 4, {}).error(), HasSubstr("another rank"));
    auto shorter = handed_over(offer);
    shorter.bytes.pop_back();
    EXPECT_FALSE(RankMemory::accept(std::move(shorter), 0, 3, {}));
    auto without = handed_over(offer);
    without.descriptors.pop_back();
    EXPECT_FALSE(RankMemory::accept(std::move(without), 0, 3, {}));
    auto swapped = handed_over(offer);
    std::swap(swapped.descriptors[0], swapped.descriptors[1]);
    EXPECT_FALSE(RankMemory::accept(std::move(swapped), 0, 3, {}));
    for (std::size_t byte = 0; byte < offer.bytes.size(); ++byte) {
        if (byte >= 12 && byte < 16) continue;  // unused
        auto changed = handed_over(offer);
        changed.bytes[byte] ^= std::byte{0x40};
        EXPECT_FALSE(RankMemory::accept(std::move(changed), 0, 3, {})) << byte;
    }
}

std::string filled(std::size_t size, char first) {
    std::string text(size, '\0');
    for (std::size_t index = 0; index < size; ++index) text[index] = static_cast<char>(first + index % 61);
    return text;
}
std::string text_at(const MemoryReceived& received, std::size_t frame) {
    const auto bytes = received.frames.at(frame).bytes;
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST_F(MemoryLink, LargeFramesComeWithoutACopyAndAreUsedAgainWhenEverybodyIsDoneWithThem) {
    std::vector<std::unique_ptr<RankMemory>> ranks;
    for (const int rank : {0, 1, 2}) ranks.push_back(join(rank));
    const auto before = asked.load();
    std::vector<const std::byte*> places;
    for (int turn = 0; turn < 200; ++turn) {
        const auto payload = filled(100'000, static_cast<char>('a' + turn % 5));
        ASSERT_TRUE(
            parent->send_to_all(std::vector{frame_of("e"), frame_of("b"), frame_of("small"), frame_of(payload)}));
        for (auto& rank : ranks) {
            const auto received = rank->receive();
            ASSERT_EQ(received.error, "");
            ASSERT_EQ(received.frames.size(), 4U);
            EXPECT_EQ(text_at(received, 2), "small");
            ASSERT_EQ(text_at(received, 3), payload);
            places.push_back(received.frames[3].bytes.data());
        }
    }
    // One segment, mapped by each.
    EXPECT_EQ(asked - before, 3);
    std::ranges::sort(places);
    EXPECT_EQ(std::ranges::unique(places).begin() - places.begin(), 3);
}

TEST_F(MemoryLink, WhatIsHeldIsNotWrittenAgain) {
    const auto rank = join(0);
    const auto other = join(1);
    std::vector<MemoryReceived> held;
    int turn = 0;
    for (;; ++turn) {
        const auto payload = filled(60'000, static_cast<char>('a' + turn));
        if (!parent->send_to_all(std::vector{frame_of("e"), frame_of("b"), frame_of(payload)})) break;
        held.push_back(rank->receive());
        EXPECT_EQ(text_at(other->receive(), 2), payload);
        for (std::size_t index = 0; index < held.size(); ++index) {
            ASSERT_EQ(text_at(held[index], 2), filled(60'000, static_cast<char>('a' + index)));
        }
    }
    EXPECT_EQ(static_cast<std::size_t>(turn), kPayloads / (64 * 1024));
    held.erase(held.begin());
    EXPECT_TRUE(parent->send_to_all(std::vector{frame_of("e"), frame_of("b"), frame_of(filled(60'000, 'z'))}));
    EXPECT_EQ(text_at(rank->receive(), 2), filled(60'000, 'z'));
    EXPECT_FALSE(parent->send_to_all(std::vector{frame_of("e"), frame_of("b"), frame_of(filled(60'000, 'y'))}));
}

TEST_F(MemoryLink, ABlockIsSentWhereItWasWritten) {
    const auto rank = join(0);
    auto block = parent->allocate(200'000);
    ASSERT_TRUE(block);
    std::ranges::fill(*block, std::byte{'x'});
    for (int turn = 0; turn < 3; ++turn) {
        const wire::Frame part{block->subspan(1000, 100'000), block};
        ASSERT_TRUE(parent->send_to_all(std::vector{frame_of("e"), frame_of("b"), part, part}));
        const auto received = rank->receive();
        EXPECT_EQ(text_at(received, 2), std::string(100'000, 'x'));
        EXPECT_EQ(received.frames[2].bytes.data(), received.frames[3].bytes.data());
    }
    // Read by nobody any more, but still the caller's.
    const auto* const place = block->data();
    EXPECT_NE(parent->allocate(200'000)->data(), place);
    block.reset();
    EXPECT_EQ(parent->allocate(200'000)->data(), place);
}

TEST_F(MemoryLink, ResultsStayWhenRankAndParentHaveGone) {
    auto rank = join(0);
    auto block = rank->allocate(150'000);
    ASSERT_TRUE(block);
    std::ranges::fill(*block, std::byte{'r'});
    ASSERT_TRUE(rank->send(
        std::vector{frame_of("e"), frame_of("b"), wire::Frame{*block, block}, frame_of(filled(90'000, 'q'))}));
    auto received = parent->receive(0);
    ASSERT_EQ(received.error, "");
    block.reset();
    rank.reset();
    parent->drop(0);
    parent.reset();
    EXPECT_EQ(text_at(received, 2), std::string(150'000, 'r'));
    EXPECT_EQ(text_at(received, 3), filled(90'000, 'q'));
}

TEST_F(MemoryLink, MemoryComesBackAfterABurst) {
    const auto rank = join(0);
    {
        std::vector<ArenaBlock> burst;
        while (auto block = parent->allocate(100'000)) burst.push_back(std::move(block));
        EXPECT_GT(burst.size(), 5U);
    }
    // Each has the wrong size for this one, so they have to go first.
    EXPECT_TRUE(parent->allocate(900'000));
    for (int turn = 0; turn < 200; ++turn) {
        ASSERT_TRUE(parent->send_to_all(std::vector{frame_of("e"), frame_of("b")}));
        (void)rank->receive();
    }
}

TEST_F(MemoryLink, ResultsCountAgainstTheSameLimit) {
    const auto rank = join(0);
    const auto half = rank->allocate(kPayloads / 2);
    ASSERT_TRUE(half);
    EXPECT_TRUE(parent->allocate(kPayloads / 2));
    EXPECT_FALSE(rank->allocate(kPayloads));
    EXPECT_FALSE(rank->send(std::vector{frame_of("e"), frame_of("b"), frame_of(filled(kPayloads, 'x'))}));
}

TEST_F(MemoryLink, ASegmentThatCannotBeHadIsAnErrorOfThatMessage) {
    auto offer = *parent->hand_over(0, {});
    const auto deaf = *RankMemory::accept(handed_over(offer), 0, 3, [](const HandoverWish&) {
        return tl::expected<ReceivedHandover, std::string>(tl::unexpected<std::string>("no descriptors left"));
    });
    ASSERT_TRUE(parent->send_to_all(std::vector{frame_of("e"), frame_of("b"), frame_of(filled(60'000, 'x'))}));
    const auto received = deaf->receive();
    EXPECT_EQ(received.taken, Taken::message);
    EXPECT_THAT(received.error, HasSubstr("no descriptors left"));
    EXPECT_EQ(text_of(received.frames), "e|b|");
    EXPECT_FALSE(deaf->allocate(100'000));
    // It was released all the same.
    for (int turn = 0; turn < 100; ++turn) {
        ASSERT_TRUE(parent->send_to_all(std::vector{frame_of("e"), frame_of("b"), frame_of(filled(60'000, 'x'))}));
        (void)deaf->receive();
    }
}

}  // namespace
}  // namespace rankexec
