// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/wire/packed_frames.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

namespace rankexec::wire {
namespace {

using Bytes = std::vector<std::byte>;

Frame frame_of(std::size_t size, int content) {
    const auto bytes = std::make_shared<Bytes>(size, static_cast<std::byte>(content));
    return {*bytes, bytes};
}

std::shared_ptr<Bytes> packed(const std::vector<Frame>& frames) {
    FramePacker packer;
    auto all = std::make_shared<Bytes>();
    std::vector<PackedFrame> marked;
    for (const auto& frame : frames) marked.push_back({frame, frame.bytes.size() == 24});
    for (const auto& piece : packer.pack(marked)) all->insert(all->end(), piece.begin(), piece.end());
    return all;
}

TEST(PackedFrames, ComeBackAsTheyWere) {
    const std::vector frames{frame_of(10, 1), frame_of(0, 0), frame_of(3000, 2)};
    const auto unpacked = unpack_frames(packed(frames));
    ASSERT_TRUE(unpacked) << unpacked.error();
    ASSERT_EQ(unpacked->size(), 3U);
    for (std::size_t index = 0; index < 3; ++index) {
        EXPECT_TRUE(std::ranges::equal((*unpacked)[index].frame.bytes, frames[index].bytes));
    }
}

TEST(PackedFrames, FramesLieAsElementsWantIt) {
    for (std::size_t size = 0; size < 40; ++size) {
        const auto unpacked = unpack_frames(packed({frame_of(3, 1), frame_of(size, 2), frame_of(24, 3)}));
        ASSERT_TRUE(unpacked) << unpacked.error();
        for (const auto& [frame, elsewhere] : *unpacked) {
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(frame.bytes.data()) % 16, 0U);
            EXPECT_EQ(elsewhere, frame.bytes.size() == 24);
        }
    }
}

TEST(PackedFrames, AnyOtherBytesAreAnError) {
    const auto good = packed({frame_of(10, 1), frame_of(5, 2)});
    for (std::size_t size = 0; size < good->size(); ++size) {
        EXPECT_FALSE(unpack_frames(std::make_shared<Bytes>(good->begin(), good->begin() + static_cast<int>(size))));
    }
    auto longer = *good;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(unpack_frames(std::make_shared<Bytes>(longer)));
    EXPECT_FALSE(unpack_frames(packed({})));
    Limits limits;
    limits.frames = 1;
    EXPECT_FALSE(unpack_frames(good, limits));

    std::mt19937_64 random(3);
    for (int round = 0; round < 20'000; ++round) {
        auto bytes = std::make_shared<Bytes>(*good);
        for (int change = 0; change < 3; ++change)
            (*bytes)[random() % bytes->size()] = static_cast<std::byte>(random());
        const auto frames = unpack_frames(bytes);
        if (!frames) continue;
        const auto& last = frames->back().frame.bytes;
        ASSERT_EQ(last.data() + last.size(), bytes->data() + bytes->size());
    }
}

}  // namespace
}  // namespace rankexec::wire
