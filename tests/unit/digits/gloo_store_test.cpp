// SPDX-License-Identifier: Apache-2.0
#include "gloo_store.hpp"

#include <gloo/common/error.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "fake_group.hpp"
#include "store_events.hpp"

namespace digits {
namespace {

using rankexec::Signal;
using test::FakeGroup;
using testing::HasSubstr;
using testing::Throws;
using testing::ThrowsMessage;

const std::vector<char> kSome{'a', '\0', '\x7f', static_cast<char>(0x80), '\n'};
constexpr std::chrono::milliseconds kLong{120'000};  // longer than a test may take: a wait that ends had a reason

TEST(GlooStore, KeyOfOneRankReachesAllRanks) {
    FakeGroup group(3);
    group.store(1).rendezvous("task-1", {})->set("key", kSome);
    for (int rank = 0; rank < 3; ++rank) EXPECT_EQ(group.store(rank).rendezvous("task-1", {})->get("key"), kSome);
}

TEST(GlooStore, WaitEndsWhenTheLastKeyComes) {
    FakeGroup group(2);
    const auto reader = group.store(0).rendezvous("task", {});
    const auto writer = group.store(1).rendezvous("task", {});
    auto waiting = std::async(std::launch::async, [&] { reader->wait({"a", "b"}, kLong); });
    writer->set("a", kSome);
    writer->set("b", {});
    waiting.get();
    EXPECT_TRUE(reader->get("b").empty());
}

TEST(GlooStore, WaitEndsWithTheTimeAndNamesTheKey) {
    FakeGroup group(1);
    const auto store = group.store(0).rendezvous("task", {});
    store->set("a", kSome);
    EXPECT_THAT(
        [&] {
            store->wait({"a", "b"}, std::chrono::milliseconds(1));
        },
        ThrowsMessage<gloo::IoException>(HasSubstr("task/b")));
}

TEST(GlooStore, AbortEndsWaitsNowAndLater) {
    FakeGroup group(1);
    const Signal abort;
    const auto store = group.store(0).rendezvous("task", abort);
    auto waiting = std::async(std::launch::async, [&] { store->wait({"a"}, kLong); });
    abort.trigger("enough");
    EXPECT_THAT([&] { waiting.get(); }, ThrowsMessage<gloo::IoException>(HasSubstr("enough")));
    EXPECT_THAT([&] { (void)store->get("a"); }, ThrowsMessage<gloo::IoException>(HasSubstr("enough")));
}

TEST(GlooStore, NamesDoNotShareKeysAndCanBeForgotten) {
    FakeGroup group(1);
    auto& store = group.store(0);
    store.rendezvous("task-1", {})->set("key", kSome);
    store.rendezvous("task-10", {})->set("key", kSome);
    const std::chrono::milliseconds soon{1};
    EXPECT_THAT([&] { store.rendezvous("task-2", {})->wait({"key"}, soon); }, Throws<gloo::IoException>());
    store.forget("task-1");
    EXPECT_THAT([&] { store.rendezvous("task-1", {})->wait({"key"}, soon); }, Throws<gloo::IoException>());
    store.rendezvous("task-10", {})->wait({"key"}, soon);
}

TEST(GlooStore, SaysThatTheParentHasNoServer) {
    FakeGroup group(1, false);
    EXPECT_THAT([&] { group.store(0).rendezvous("task", {})->set("key", kSome); },
                ThrowsMessage<gloo::IoException>(HasSubstr("digits_store_server")));
}

TEST(GlooStore, BothHalvesIgnoreEventsThatAreNotTheirs) {
    FakeGroup group(1);
    auto context = group.parent().new_context();
    context.set(store_event::kKey, 3);
    context.set(store_event::kValue, "text");
    group.parent().deliver_event(std::string(store_event::kSet), context, rankexec::EventOrigin::rank, 0);
    group.parent().fire_event(std::string(store_event::kChanged), context);
    group.parent().fire_event("something else", context);
    EXPECT_TRUE(context.get(store_event::kKey)) << "only a key that was taken is removed";
}

}  // namespace
}  // namespace digits
