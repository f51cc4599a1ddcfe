// SPDX-License-Identifier: Apache-2.0
#include "collective.hpp"

#include <gloo/common/error.h>
#include <gloo/transport/tcp/device.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstring>

#include "fake_group.hpp"
#include "listen_address.hpp"
#include "random.hpp"

namespace digits {
namespace {

using rankexec::Signal;
using test::FakeGroup;
using test::message_of;

CollectiveOptions patient() {
    CollectiveOptions options;
    options.address = "127.0.0.1";
    options.timeout = std::chrono::hours(1);  // longer than a test may take
    return options;
}

class CollectiveOfRanks : public testing::TestWithParam<int> {
protected:
    CollectiveOfRanks() { std::signal(SIGPIPE, SIG_IGN); }
};

TEST_P(CollectiveOfRanks, SumsAreRightAndBitwiseTheSameEverywhere) {
    FakeGroup group(GetParam());
    std::vector<std::vector<float>> results(static_cast<std::size_t>(GetParam()));
    const auto errors = group.on_all([&](int rank) {
        Collective collective(group.store(rank), "task", rank, group.world_size(), patient(), {});
        Random random(static_cast<std::uint64_t>(rank));
        auto& values = results[static_cast<std::size_t>(rank)];
        for (int i = 0; i < 4813; ++i) values.push_back(random.unit() - 0.5F);
        for (int i = 0; i < 20; ++i) collective.sum(values);
        std::array<std::int64_t, 1> one{1};
        collective.sum(one);
        EXPECT_EQ(one[0], group.world_size());
    });
    for (const auto& error : errors) EXPECT_EQ(message_of(error), std::nullopt);
    for (const auto& result : results) {
        ASSERT_EQ(result.size(), results[0].size());
        EXPECT_EQ(std::memcmp(result.data(), results[0].data(), result.size() * sizeof(float)), 0);
    }
}

INSTANTIATE_TEST_SUITE_P(Ranks, CollectiveOfRanks, testing::Values(1, 2, 3, 4, 7));

TEST(Collective, RankThatLeavesFailsTheOthers) {
    std::signal(SIGPIPE, SIG_IGN);
    FakeGroup group(3);
    const auto errors = group.on_all([&](int rank) {
        Collective collective(group.store(rank), "task", rank, 3, patient(), {});
        std::vector<float> values(5000, 1.0F);
        if (rank == 1) throw std::runtime_error("out of memory");
        for (;;) collective.sum(values);
    });
    EXPECT_EQ(message_of(errors[1]), "out of memory");
    for (const int rank : {0, 2}) {
        EXPECT_THROW(std::rethrow_exception(errors[static_cast<std::size_t>(rank)]), gloo::Exception);
    }
}

TEST(Collective, AbortWakesRankThatWaitsForOneThatHangs) {
    std::signal(SIGPIPE, SIG_IGN);
    FakeGroup group(2);
    const Signal abort;
    const Signal let_go;
    const auto errors = group.on_all([&](int rank) {
        Collective collective(group.store(rank), "task", rank, 2, patient(), rank == 0 ? abort : Signal());
        std::vector<float> values(5000, 1.0F);
        if (rank == 1) {  // hangs, as a stopped process does: connected, but silent
            collective.sum(values);
            abort.trigger("enough");
            let_go.wait();
            return;
        }
        try {
            collective.sum(values);  // the abort may come before it returns
            collective.sum(values);
        } catch (...) {
            let_go.trigger("");
            throw;
        }
    });
    EXPECT_THROW(std::rethrow_exception(errors[0]), gloo::Exception);
    EXPECT_EQ(message_of(errors[1]), std::nullopt);
}

TEST(Collective, AbortEndsTheRendezvous) {
    FakeGroup group(2);
    const Signal abort;
    const auto errors = group.on_all([&](int rank) {
        if (rank == 1) {
            abort.trigger("enough");
            return;
        }
        Collective collective(group.store(0), "task", 0, 2, patient(), abort);
    });
    ASSERT_TRUE(errors[0]);
    EXPECT_THAT(*message_of(errors[0]), testing::HasSubstr("enough"));
}

TEST(Collective, RankThatNeverComesIsAnErrorInTime) {
    FakeGroup group(2);
    auto options = patient();
    options.connect_timeout = std::chrono::milliseconds(1);
    EXPECT_THAT([&] { Collective(group.store(0), "task", 0, 2, options, {}); },
                testing::ThrowsMessage<gloo::IoException>(testing::HasSubstr("127.0.0.1")));
}

TEST(ListenAddress, IsLoopbackOnOneHost) {
    EXPECT_EQ(listen_address("no such host", true), "127.0.0.1");
    EXPECT_EQ(listen_address("192.0.2.1", true), "127.0.0.1");
}

// What it is between hosts depends on the machine; that it exists, and is one of ours, does not.
TEST(ListenAddress, BetweenHostsIsAnAddressOfThisHost) {
    for (const auto* master : {"127.0.0.1", "::1", "192.0.2.1", "no such host"}) {
        gloo::transport::tcp::attr attributes;
        attributes.hostname = listen_address(master, false);
        EXPECT_NE(gloo::transport::tcp::CreateDevice(attributes), nullptr) << master;
    }
}

}  // namespace
}  // namespace digits
