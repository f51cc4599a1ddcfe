// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/size_list.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rankexec::bench {
namespace {

TEST(SizeList, Sizes) {
    for (const auto& [text, bytes] :
         std::initializer_list<std::pair<const char*, std::uint64_t>>{{"0", 0},
                                                                      {"64", 64},
                                                                      {"64B", 64},
                                                                      {"4K", 4096},
                                                                      {"4KiB", 4096},
                                                                      {"4kB", 4000},
                                                                      {"1MiB", 1048576},
                                                                      {"1.5MiB", 1572864},
                                                                      {"2G", 2147483648},
                                                                      {"1024GiB", kLargestPayload}}) {
        const auto size = parse_size(text);
        ASSERT_TRUE(size.has_value()) << text << ": " << size.error();
        EXPECT_EQ(*size, bytes) << text;
    }
}

TEST(SizeList, WhatIsNoSize) {
    for (const auto* text :
         {"", "MiB", "1 MiB", "1MIB", "1X", "-1", "1e3", "0x10", "nan", "inf", "1MiBs", "1025GiB", "1KiBB"}) {
        const auto size = parse_size(text);
        ASSERT_FALSE(size.has_value()) << text;
        EXPECT_THAT(size.error(), testing::StartsWith("'" + std::string(text) + "' is"));
    }
}

TEST(SizeList, Texts) {
    EXPECT_EQ(format_size(0), "0 B");
    EXPECT_EQ(format_size(64), "64 B");
    EXPECT_EQ(format_size(1023), "1023 B");
    EXPECT_EQ(format_size(1536), "1.5 KiB");
    EXPECT_EQ(format_size(std::uint64_t{64} << 20U), "64 MiB");
    EXPECT_EQ(format_size(kLargestPayload), "1 TiB");
}

}  // namespace
}  // namespace rankexec::bench
