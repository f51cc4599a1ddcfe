// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <latch>
#include <limits>
#include <thread>
#include <vector>

#include "rankexec/core/system/resources.hpp"

namespace rankexec {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20U;

/// So many bytes more than there are now, for this process and as long as it lives.
class Leave {
public:
    explicit Leave(std::size_t bytes) {
        ::getrlimit(RLIMIT_AS, &before_);
        rlimit low = before_;
        low.rlim_cur = std::size_t{1} << 50U;  // what there is can only be told below a limit
        ::setrlimit(RLIMIT_AS, &low);
        low.rlim_cur = low.rlim_cur - available_address_space() + bytes;
        ::setrlimit(RLIMIT_AS, &low);
    }
    ~Leave() { ::setrlimit(RLIMIT_AS, &before_); }
    Leave(const Leave&) = delete;
    Leave& operator=(const Leave&) = delete;

private:
    rlimit before_{};
};

TEST(AddressSpace, WithoutALimitNothingLacks) {
    EXPECT_EQ(available_address_space(), std::numeric_limits<std::size_t>::max());
    EXPECT_FALSE(lack_of_address_space(1000));
}

TEST(AddressSpace, WhatLacksIsSaid) {
    const Leave leave(300 * kMiB);
    EXPECT_FALSE(lack_of_address_space(0));
    const auto lack = lack_of_address_space(6);
    ASSERT_TRUE(lack);
    EXPECT_NE(lack->find("MiB of address space are left, "), std::string::npos) << *lack;
    EXPECT_NE(lack->find("ulimit -v"), std::string::npos) << *lack;
}

TEST(AddressSpace, EnoughIsEnough) {
    const Leave leave(1024 * kMiB);
    EXPECT_FALSE(lack_of_address_space(6));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which have allocators of their own

void run_threads_that_allocate(int count) {
    std::latch all(count);
    std::vector<std::thread> threads;
    for (int index = 0; index < count; ++index) {
        threads.emplace_back([&all] {
            void* volatile memory = std::malloc(64);
            std::free(memory);
            all.arrive_and_wait();
        });
    }
    for (auto& thread : threads) thread.join();
}

TEST(AddressSpace, WhatEarlierThreadsLeftIsCounted) {
    run_threads_that_allocate(6);
    const Leave leave(300 * kMiB);
    EXPECT_FALSE(lack_of_address_space(6));
    EXPECT_TRUE(lack_of_address_space(9));
}

TEST(AddressSpace, TheEnvironmentMayLimitTheArenas) {
    const Leave leave(300 * kMiB);
    EXPECT_TRUE(lack_of_address_space(6));
    ::setenv("MALLOC_ARENA_MAX", "1", 1);
    EXPECT_FALSE(lack_of_address_space(6));
    ::unsetenv("MALLOC_ARENA_MAX");
}

#endif

}  // namespace
}  // namespace rankexec
