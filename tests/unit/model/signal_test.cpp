// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/signal.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

namespace rankexec {
namespace {

using namespace std::chrono_literals;

TEST(Signal, IsTriggeredOnceAndKeepsTheFirstReason) {
    const Signal signal;
    EXPECT_FALSE(signal.triggered());
    EXPECT_EQ(signal.reason(), "");
    EXPECT_FALSE(signal.wait_for(0ns));
    EXPECT_TRUE(signal.trigger("first"));
    EXPECT_FALSE(signal.trigger("second"));
    EXPECT_TRUE(signal.triggered());
    EXPECT_EQ(signal.reason(), "first");
    EXPECT_TRUE(signal.wait_for(0ns));
    signal.wait();
}

TEST(Signal, CopiesAreTheSameSignal) {
    const Signal signal;
    const Signal copy = signal;  // NOLINT(performance-unnecessary-copy-initialization): what is tested
    copy.trigger("from the copy");
    EXPECT_EQ(signal.reason(), "from the copy");
}

TEST(Signal, WakesThoseWhoWait) {
    const Signal signal;
    std::vector<std::thread> waiting;
    waiting.emplace_back([&] { signal.wait(); });
    waiting.emplace_back([&] { EXPECT_TRUE(signal.wait_for(1h)); });
    signal.trigger("now");
    for (auto& thread : waiting) thread.join();
}

TEST(Signal, ExactlyOneOfManyTriggersWins) {
    const Signal signal;
    std::atomic<int> winners{0};
    std::vector<std::thread> threads;
    for (int index = 0; index < 8; ++index) {
        threads.emplace_back([&, index] {
            if (signal.trigger(std::to_string(index))) ++winners;
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(winners, 1);
}

TEST(Signal, CallsSubscribersOnceWithTheReason) {
    const Signal signal;
    std::vector<std::string> calls;
    const auto early = signal.on_trigger([&](const std::string& reason) { calls.push_back("early " + reason); });
    signal.trigger("stop");
    signal.trigger("again");
    const auto late = signal.on_trigger([&](const std::string& reason) { calls.push_back("late " + reason); });
    EXPECT_EQ(calls, (std::vector<std::string>{"early stop", "late stop"}));
}

TEST(Signal, AnEndedSubscriptionIsNotCalled) {
    const Signal signal;
    int calls = 0;
    {
        auto moved_from = signal.on_trigger([&](const std::string&) { ++calls; });
        const auto subscription = std::move(moved_from);
    }
    auto replaced = signal.on_trigger([&](const std::string&) { ++calls; });
    replaced = {};
    signal.trigger("stop");
    EXPECT_EQ(calls, 0);
}

TEST(Signal, ASubscriptionMayOutliveEverySignal) {
    Signal::Subscription subscription;
    {
        const Signal signal;
        subscription = signal.on_trigger([](const std::string&) {});
    }
    subscription = {};
}

TEST(Signal, ACallbackMayUseTheSignal) {
    const Signal signal;
    std::string seen;
    const auto subscription = signal.on_trigger([&](const std::string&) {
        EXPECT_TRUE(signal.triggered());
        EXPECT_FALSE(signal.trigger("from within"));
        seen = signal.reason();
    });
    signal.trigger("outside");
    EXPECT_EQ(seen, "outside");
}

TEST(Signal, EndingASubscriptionWaitsForItsCallThatIsUnderWay) {
    const Signal signal;
    std::promise<void> called;
    std::promise<void> go_on;
    std::atomic<bool> call_over{false};
    std::optional<Signal::Subscription> subscription(signal.on_trigger([&](const std::string&) {
        called.set_value();
        go_on.get_future().wait();
        call_over = true;
    }));
    std::thread triggering([&] { signal.trigger("stop"); });
    called.get_future().wait();
    std::thread ending([&] {
        subscription.reset();
        EXPECT_TRUE(call_over);
    });
    go_on.set_value();
    ending.join();
    triggering.join();
}

}  // namespace
}  // namespace rankexec
