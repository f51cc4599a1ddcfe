// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/memory_link.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
        const auto offer = parent->offer(rank);
        EXPECT_TRUE(offer) << offer.error();
        auto joined = RankMemory::accept(handed_over(*offer), rank, 3);
        EXPECT_TRUE(joined) << joined.error();
        return joined ? std::move(*joined) : nullptr;
    }
    std::unique_ptr<ParentMemory> parent = *ParentMemory::create(3, {4096, 1024});
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
    EXPECT_FALSE(parent->offer(0));
    parent->drop(0);
    EXPECT_FALSE(parent->has(0));
    EXPECT_FALSE(parent->offer(0));
    parent->drop(1);
    EXPECT_FALSE(parent->offer(1));
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

TEST_F(MemoryLink, AnotherOfferIsRefused) {
    const auto offer = *parent->offer(0);
    EXPECT_THAT(RankMemory::accept(handed_over(offer), 1, 3).error(), HasSubstr("another rank"));
    EXPECT_THAT(RankMemory::accept(handed_over(offer), 0, 4).error(), HasSubstr("another rank"));
    auto shorter = handed_over(offer);
    shorter.bytes.pop_back();
    EXPECT_FALSE(RankMemory::accept(std::move(shorter), 0, 3));
    auto without = handed_over(offer);
    without.descriptors.pop_back();
    EXPECT_FALSE(RankMemory::accept(std::move(without), 0, 3));
    auto swapped = handed_over(offer);
    std::swap(swapped.descriptors[0], swapped.descriptors[1]);
    EXPECT_FALSE(RankMemory::accept(std::move(swapped), 0, 3));
    for (std::size_t byte = 0; byte < offer.bytes.size(); ++byte) {
        if (byte >= 12 && byte < 16) continue;  // unused
        auto changed = handed_over(offer);
        changed.bytes[byte] ^= std::byte{0x40};
        EXPECT_FALSE(RankMemory::accept(std::move(changed), 0, 3)) << byte;
    }
}

}  // namespace
}  // namespace rankexec
