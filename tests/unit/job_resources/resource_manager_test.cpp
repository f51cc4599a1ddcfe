// SPDX-License-Identifier: Apache-2.0
// J9: who has reserved and taken what of a site.
#include "rankexec/core/job/resources/resource_manager.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <optional>
#include <set>
#include <thread>

#include "rankexec/core/component/configuration_error.hpp"

namespace rankexec::job::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class J9_Resources : public ::testing::Test {
protected:
    J9_Resources() {
        options.total.gpus = {{"0", 80'000, true}, {"1", 40'000, true}, {"2", 80'000, true}};
        options.total.cores = 8;
        options.total.memory_mib = 1000;
        make();
    }
    void make() {
        manager = std::make_unique<ResourceManager>(options, [this] { return now; });
        manager->on_change([this] { ++changes; });
    }
    std::string reserve(const ResourceNeed& need, const std::string& job = "job") {
        const auto token = manager->reserve(job, need);
        EXPECT_TRUE(token) << token.error();
        return token.value_or("");
    }
    std::string refusal(const ResourceNeed& need) {
        const auto token = manager->reserve("refused", need);
        EXPECT_FALSE(token);
        return token ? "" : token.error();
    }
    std::vector<std::string> free_gpus() const {
        std::vector<std::string> ids;
        for (const auto& gpu : manager->state().gpus) {
            if (gpu.free) ids.push_back(gpu.id);
        }
        return ids;
    }
    void expect_all_free() const {
        const auto state = manager->state();
        EXPECT_EQ(free_gpus().size(), state.gpus.size());
        EXPECT_EQ(state.free_cores, state.cores);
        EXPECT_EQ(state.free_memory_mib, state.memory_mib);
    }

    std::chrono::steady_clock::time_point now{seconds(1'000)};
    ResourceManagerOptions options;
    std::unique_ptr<ResourceManager> manager;
    std::atomic<int> changes = 0;
};

TEST_F(J9_Resources, AReservationSetsAsideGpusCoresAndMemory) {
    const auto token = reserve({2, 50'000, 3, 400});
    EXPECT_EQ(token.size(), 32U);
    EXPECT_EQ(token.find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_THAT(free_gpus(), ElementsAre("1"));
    EXPECT_EQ(manager->state().free_cores, 5);
    EXPECT_EQ(manager->state().free_memory_mib, 600);
    EXPECT_EQ(manager->state().cores, 8);
}

TEST_F(J9_Resources, WhatDoesNotFitIsRefusedWithTheReasonAndTakesNothing) {
    EXPECT_EQ(refusal({3, 50'000, 0, 0}), "needs 3 GPUs with 50000 MiB, 2 free");
    EXPECT_THAT(refusal({0, 0, 9, 0}), HasSubstr("9 cores"));
    EXPECT_THAT(refusal({0, 0, 0, 1001}), HasSubstr("1001 MiB"));
    expect_all_free();
    reserve({2, 0, 0, 0});
    EXPECT_EQ(refusal({2, 0, 0, 0}), "needs 2 GPUs, 1 free");
}

TEST_F(J9_Resources, TheSmallestGpusThatServeAreTaken) {
    reserve({1, 0, 0, 0});
    EXPECT_THAT(free_gpus(), ElementsAre("0", "2"));
    reserve({1, 60'000, 0, 0});
    EXPECT_THAT(free_gpus(), ElementsAre("2"));
}

TEST_F(J9_Resources, AllocateConsumesTheReservation) {
    const auto token = reserve({2, 50'000, 1, 0});
    const auto gpus = manager->allocate(token);
    ASSERT_TRUE(gpus);
    EXPECT_THAT(*gpus, ElementsAre("0", "2"));
    EXPECT_EQ(*manager->allocate(token), *gpus);
    // It is no reservation any more: neither time nor cancel ends it.
    now += seconds(3'600);
    manager->cancel(token);
    EXPECT_THAT(free_gpus(), ElementsAre("1"));
    manager->free("job");
    expect_all_free();
}

TEST_F(J9_Resources, AnUnknownTokenCannotBeAllocated) {
    const auto unknown = manager->allocate("0123456789abcdef0123456789abcdef");
    ASSERT_FALSE(unknown);
    EXPECT_THAT(unknown.error(), HasSubstr("no reservation"));
    const auto token = reserve({1, 0, 0, 0});
    manager->cancel(token);
    EXPECT_FALSE(manager->allocate(token));
    const auto freed = reserve({1, 0, 0, 0});
    manager->free("job");
    EXPECT_FALSE(manager->allocate(freed));
}

TEST_F(J9_Resources, CancelOfAnUnknownTokenIsNothing) {
    reserve({1, 0, 0, 0});
    const int before = changes;
    manager->cancel("0123456789abcdef0123456789abcdef");
    manager->cancel("");
    EXPECT_EQ(changes, before);
    EXPECT_EQ(free_gpus().size(), 2U);
    manager->free("unknown");
    EXPECT_EQ(free_gpus().size(), 2U);
}

TEST_F(J9_Resources, AReservationEndsAfterItsTime) {
    const auto token = reserve({3, 0, 8, 1000});
    ASSERT_TRUE(manager->next_expiry());
    EXPECT_EQ(*manager->next_expiry(), now + seconds(30));
    now += seconds(30) - milliseconds(1);
    EXPECT_THAT(free_gpus(), IsEmpty());
    now += milliseconds(1);
    expect_all_free();
    const int before = changes;
    manager->expire();
    EXPECT_EQ(changes, before + 1);
    EXPECT_FALSE(manager->next_expiry());
    EXPECT_FALSE(manager->renew(token));
    EXPECT_FALSE(manager->allocate(token));
    reserve({3, 0, 8, 1000});
}

TEST_F(J9_Resources, RenewedItLastsAsLongAsDeployingDoes) {
    const auto token = reserve({3, 0, 0, 0});
    for (int i = 0; i < 10; ++i) {
        now += seconds(29);
        EXPECT_TRUE(manager->renew(token));
    }
    EXPECT_TRUE(manager->allocate(token));
    EXPECT_TRUE(manager->renew(token));
}

TEST_F(J9_Resources, SaysWhatWasAskedForWhileItLasts) {
    const ResourceNeed need{3, 0, 2, 100};
    const auto token = reserve(need);
    EXPECT_EQ(manager->need_of(token), need);
    EXPECT_FALSE(manager->need_of("another"));
    now += seconds(30);
    EXPECT_FALSE(manager->need_of(token));
    const auto cancelled = reserve(need);
    manager->cancel(cancelled);
    EXPECT_FALSE(manager->need_of(cancelled));
}

TEST_F(J9_Resources, FreeGivesBackAllOfTheJobAndNothingOfOthers) {
    (void)manager->allocate(reserve({1, 0, 1, 100}, "a"));
    reserve({1, 0, 1, 100}, "a");
    (void)manager->allocate(reserve({1, 0, 1, 100}, "b"));
    manager->free("a");
    EXPECT_EQ(free_gpus().size(), 2U);
    EXPECT_EQ(manager->state().free_cores, 7);
    manager->free("a");
    EXPECT_EQ(free_gpus().size(), 2U);
    manager->free("b");
    expect_all_free();
}

TEST_F(J9_Resources, WhoNeedsNothingGetsATokenToo) {
    const auto token = reserve({});
    expect_all_free();
    EXPECT_THAT(*manager->allocate(token), IsEmpty());
}

TEST_F(J9_Resources, ARunThatLivesOnKeepsWhatItHas) {
    manager->restore("job", {2, 0, 4, 500}, {"1", "2", "gone"});
    manager->restore("job", {2, 0, 4, 500}, {"1", "2", "gone"});
    EXPECT_THAT(free_gpus(), ElementsAre("0"));
    EXPECT_EQ(manager->state().free_cores, 4);
    // The machine has become smaller meanwhile.
    manager->restore("large", {0, 0, 40, 5000}, {});
    EXPECT_EQ(manager->state().free_cores, 0);
    EXPECT_EQ(manager->state().free_memory_mib, 0);
    manager->free("job");
    manager->free("large");
    expect_all_free();
}

TEST_F(J9_Resources, EveryChangeOfWhatIsFreeIsToldOnce) {
    EXPECT_EQ(changes, 0);
    const auto token = reserve({1, 0, 0, 0});
    EXPECT_EQ(changes, 1);
    (void)refusal({9, 0, 0, 0});
    (void)manager->renew(token);
    (void)manager->allocate(token);
    EXPECT_EQ(changes, 1);
    manager->free("job");
    EXPECT_EQ(changes, 2);
}

TEST_F(J9_Resources, WhoIsToldMayAsk) {
    std::vector<int> cores;
    manager->on_change([&] { cores.push_back(manager->state().free_cores); });
    const auto token = reserve({0, 0, 2, 0});
    manager->cancel(token);
    EXPECT_THAT(cores, ElementsAre(6, 8));
}

TEST_F(J9_Resources, TheEnvironmentOfThisProcessStaysAsItIs) {
    const char* before = std::getenv("CUDA_VISIBLE_DEVICES");
    const std::optional<std::string> was = before == nullptr ? std::nullopt : std::optional<std::string>(before);
    // Not what an allocation before this one could have left.
    ::setenv("CUDA_VISIBLE_DEVICES", "of the machine", 1);
    (void)manager->allocate(reserve({2, 0, 0, 0}));
    EXPECT_STREQ(std::getenv("CUDA_VISIBLE_DEVICES"), "of the machine");
    if (was) {
        ::setenv("CUDA_VISIBLE_DEVICES", was->c_str(), 1);
    } else {
        ::unsetenv("CUDA_VISIBLE_DEVICES");
    }
}

TEST_F(J9_Resources, NothingIsGivenTwiceToThreadsAtTheSameTime) {
    std::atomic<int> gpus_given{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&, thread] {
            const auto job = "job-" + std::to_string(thread);
            for (int i = 0; i < 300; ++i) {
                const auto token = manager->reserve(job, {1, 0, 0, 0});
                if (!token) continue;
                EXPECT_LE(++gpus_given, 3);
                EXPECT_TRUE(manager->renew(*token));
                EXPECT_TRUE(manager->allocate(*token));
                --gpus_given;
                manager->free(job);
            }
        });
    }
    manager->on_change({});
    for (auto& thread : threads) thread.join();
    expect_all_free();
}

TEST_F(J9_Resources, OptionsThatMakeNoSenseAreRefused) {
    const auto expect_refused = [this](auto&& change) {
        auto wrong = options;
        change(wrong);
        EXPECT_THROW(ResourceManager{wrong}, ConfigurationError);
    };
    expect_refused([](auto& wrong) { wrong.total.cores = -1; });
    expect_refused([](auto& wrong) { wrong.total.memory_mib = -1; });
    expect_refused([](auto& wrong) { wrong.total.gpus[0].id = ""; });
    expect_refused([](auto& wrong) { wrong.total.gpus[0].id = wrong.total.gpus[1].id; });
    expect_refused([](auto& wrong) { wrong.reservation_time = milliseconds(0); });
}

}  // namespace
}  // namespace rankexec::job::test
