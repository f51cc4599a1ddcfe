// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/payload.hpp"

#include <gtest/gtest.h>

#include <set>

namespace rankexec::bench {
namespace {

TEST(Payload, ContentsAreNewEachTimeAndTheirChecksumTheirs) {
    PayloadSource source(1003);
    std::set<std::uint64_t> sums;
    for (std::uint64_t seed = 1; seed <= 7; ++seed) {
        const auto payload = source.next(seed);
        EXPECT_EQ(payload.tensor.bytes().size(), 1003U);
        EXPECT_EQ(checksum(payload.tensor.bytes()), payload.checksum);
        sums.insert(payload.checksum);
    }
    EXPECT_EQ(sums.size(), 7U);
}

TEST(Payload, BuffersAreUsedInTurnButNotWhileSomebodyReads) {
    PayloadSource source(4096);
    const auto held = source.next(1);
    const auto* const second = source.next(2).tensor.bytes().data();
    (void)source.next(3);
    EXPECT_NE(source.next(4).tensor.bytes().data(), held.tensor.bytes().data());
    EXPECT_EQ(checksum(held.tensor.bytes()), held.checksum);
    EXPECT_EQ(source.next(5).tensor.bytes().data(), second);
}

TEST(Payload, EveryByteCounts) {
    for (const std::size_t size : {1U, 7U, 8U, 9U, 63U, 64U, 65U, 200U}) {
        std::vector<std::byte> bytes(size);
        const auto before = checksum(bytes);
        for (auto& byte : bytes) {
            byte = std::byte{1};
            EXPECT_NE(checksum(bytes), before);
            byte = {};
        }
    }
}

}  // namespace
}  // namespace rankexec::bench
