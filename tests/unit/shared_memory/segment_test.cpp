// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/shared_memory/segment.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <utility>

namespace {

using rankexec::Segment;
using rankexec::UniqueFd;
using testing::HasSubstr;
constexpr std::size_t kSize = 65'536;

UniqueFd duplicate(int descriptor) { return UniqueFd(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)); }

TEST(Segment, IsSharedAndZero) {
    auto mine = Segment::create(kSize, Segment::Access::read_write);
    ASSERT_TRUE(mine) << mine.error();
    const auto peers = Segment::map(duplicate(mine->descriptor()), kSize, Segment::Access::read_write);
    ASSERT_TRUE(peers) << peers.error();
    EXPECT_EQ(peers->bytes()[kSize - 1], std::byte{0});
    mine->close_descriptor();
    mine->bytes()[17] = std::byte{1};
    EXPECT_EQ(peers->bytes()[17], std::byte{1});
    peers->bytes()[18] = std::byte{2};
    EXPECT_EQ(mine->bytes()[18], std::byte{2});
}

TEST(Segment, NobodyChangesItsSize) {
    const auto mine = Segment::create(kSize, Segment::Access::read_write);
    ASSERT_TRUE(mine) << mine.error();
    EXPECT_EQ(::ftruncate(mine->descriptor(), 0), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::ftruncate(mine->descriptor(), kSize * 2), -1);
    EXPECT_EQ(::fcntl(mine->descriptor(), F_ADD_SEALS, F_SEAL_WRITE), -1);
}

TEST(Segment, WhoMayOnlyReadCannotWriteByAnyWay) {
    const auto mine = Segment::create(kSize, Segment::Access::read);
    ASSERT_TRUE(mine) << mine.error();
    EXPECT_FALSE(Segment::map(duplicate(mine->descriptor()), kSize, Segment::Access::read_write));
    auto peers = Segment::map(duplicate(mine->descriptor()), kSize, Segment::Access::read);
    ASSERT_TRUE(peers) << peers.error();
    EXPECT_EQ(::mprotect(peers->bytes().data(), kSize, PROT_READ | PROT_WRITE), -1);
    EXPECT_EQ(::pwrite(peers->descriptor(), "x", 1, 0), -1);
    EXPECT_EQ(::fallocate(peers->descriptor(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
    mine->bytes()[1] = std::byte{7};
    EXPECT_EQ(peers->bytes()[1], std::byte{7});
}

TEST(Segment, WhatAPeerCouldTakeAwayIsRefused) {
    UniqueFd unsealed(::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_EQ(::ftruncate(unsealed.get(), kSize), 0);
    const auto refused = Segment::map(std::move(unsealed), kSize, Segment::Access::read);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error(), HasSubstr("not sealed"));

    const auto mine = Segment::create(kSize, Segment::Access::read);
    const auto wrong_size = Segment::map(duplicate(mine->descriptor()), 2 * kSize, Segment::Access::read);
    ASSERT_FALSE(wrong_size);
    EXPECT_THAT(wrong_size.error(), HasSubstr("expected 131072"));
    EXPECT_FALSE(Segment::map(UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)), kSize, Segment::Access::read));
    EXPECT_FALSE(Segment::map(UniqueFd(), kSize, Segment::Access::read));
}

TEST(Segment, MovesTakeTheMappingAlong) {
    auto first = *Segment::create(kSize, Segment::Access::read_write);
    auto* const memory = first.bytes().data();
    Segment second(std::move(first));
    EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(second.bytes().data(), memory);
    second = Segment();
    EXPECT_FALSE(second.valid());
}

TEST(Segment, TooMuchIsAnError) {
    const auto refused = Segment::create(std::size_t{1} << 60U, Segment::Access::read_write);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error(), HasSubstr("are left on this host"));
}

}  // namespace
