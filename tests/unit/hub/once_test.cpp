// SPDX-License-Identifier: Apache-2.0
// Connections are cut while requests are under way: none is lost, none is handled twice.
#include <gmock/gmock.h>

#include <future>
#include <map>
#include <random>
#include <thread>

#include "unit/hub/cable.hpp"
#include "unit/hub/hub_ends.hpp"

namespace rankexec::test {
namespace {

class HubOnce : public Hub {
protected:
    /// A client of that name by way of a cable.
    struct Far {
        Happenings heard;
        std::unique_ptr<Cable> cable;
        std::unique_ptr<hub::HubClient> client;
    };
    [[nodiscard]] std::unique_ptr<Far> far(const std::string& name) {
        auto made = std::make_unique<Far>();
        made->cable = std::make_unique<Cable>(endpoint);
        const auto keys = new_keys();
        server->allow(name, keys.public_key);
        auto options = client_options(keys);
        options.connect = made->cable->endpoint();
        options.gone_after = gone_after;
        options.on_connected = [&heard = made->heard] { heard.add("connected"); };
        options.on_lost = [&heard = made->heard](const std::string&) { heard.add("lost"); };
        made->client = make_client(std::move(options));
        return made;
    }
    /// Handles "hold": says so, and answers when it is told to.
    void hold_on(hub::HubEnd& end) {
        end.handle("hold", [this](hub::Request&& request, hub::Answer answer) {
            {
                const std::lock_guard lock(mutex);
                answers.push_back(std::move(answer));
            }
            handled.add(request.content.body.text_or(""));
        });
    }
    void answer_all(const std::string& content) {
        const std::lock_guard lock(mutex);
        for (const auto& answer : answers) answer(text(content));
        answers.clear();
    }
    static std::future<std::string> ask(hub::HubEnd& end, const std::string& to, const std::string& what) {
        auto reply = std::make_shared<std::promise<std::string>>();
        end.request(to, "hold", text(what), kLong, [reply](hub::Reply&& came) {
            reply->set_value(came ? came->body.text_or("") : "failed: " + came.error().message);
        });
        return reply->get_future();
    }

    Milliseconds gone_after{5000};
    Happenings handled;
    std::mutex mutex;
    std::vector<hub::Answer> answers;
};

TEST_F(HubOnce, ARequestThatIsUnderWayWhenItsConnectionIsCut) {
    make_server(server_options());
    hold_on(*server);
    server->start();
    const auto site = far("site/a");
    site->client->start();
    site->heard.wait("connected");
    auto reply = ask(*site->client, hub::kHubName, "one");
    handled.wait("one");
    site->cable->cut();
    site->heard.wait("lost");
    site->heard.wait("connected", 2);
    // Behind the request that was sent again.
    EXPECT_EQ(text_of(site->client->ask(hub::kHubName, "who", {}, kLong)), "site/a");
    answer_all("done");
    EXPECT_EQ(reply.get(), "done");
    EXPECT_EQ(handled.count("one"), 1U);
}

TEST_F(HubOnce, AReplyThatIsLostWithItsConnection) {
    make_server(server_options());
    hold_on(*server);
    server->start();
    const auto site = far("site/a");
    site->client->start();
    site->heard.wait("connected");
    auto reply = ask(*site->client, hub::kHubName, "one");
    handled.wait("one");
    site->cable->hold_replies(true);
    answer_all("done");
    // Another one sees that the hub has taken the answer.
    EXPECT_EQ(text_of(connected_client("site/b")->ask(hub::kHubName, "who", {}, kLong)), "site/b");
    site->cable->cut();
    site->cable->hold_replies(false);
    EXPECT_EQ(reply.get(), "done");
    EXPECT_EQ(handled.count("one"), 1U);
}

TEST_F(HubOnce, WhatTheHubAsksAPeer) {
    start_server();
    const auto site = far("site/a");
    hold_on(*site->client);
    site->client->start();
    seen.wait("connected site/a");
    auto reply = ask(*server, "site/a", "one");
    handled.wait("one");
    site->cable->cut();
    site->heard.wait("connected", 2);
    answer_all("done");
    EXPECT_EQ(reply.get(), "done");
    EXPECT_EQ(handled.count("one"), 1U);
}

TEST_F(HubOnce, ByWayOfTheHubWithEitherConnectionCut) {
    start_server();
    const auto a = far("run/j/a");
    const auto b = far("run/j/b");
    hold_on(*b->client);
    a->client->start();
    b->client->start();
    a->heard.wait("connected");
    b->heard.wait("connected");
    auto reply = ask(*a->client, "run/j/b", "one");
    handled.wait("one");
    a->cable->cut();
    b->cable->cut();
    a->heard.wait("connected", 2);
    answer_all("done");
    EXPECT_EQ(reply.get(), "done");
    EXPECT_EQ(handled.count("one"), 1U);
}

TEST_F(HubOnce, ByWayOfAHubThatIsRestarted) {
    const auto a_keys = new_keys();
    const auto b_keys = new_keys();
    const auto allow = [&] {
        server->allow("run/j/a", a_keys.public_key);
        server->allow("run/j/b", b_keys.public_key);
    };
    start_server();
    allow();
    const auto b = make_client(client_options(b_keys));
    hold_on(*b);
    b->start();
    ASSERT_TRUE(b->wait_connected(kLong));
    const auto a = make_client(client_options(a_keys));
    a->start();
    ASSERT_TRUE(a->wait_connected(kLong));
    auto reply = ask(*a, "run/j/b", "one");
    handled.wait("one");
    server.reset();
    answer_all("done");
    make_server(server_options(endpoint));
    server->allow("run/j/b", b_keys.public_key);
    server->start();
    seen.wait("connected run/j/b", 2);
    // The reply has come to the hub before its asker is back.
    server->allow("run/j/a", a_keys.public_key);
    EXPECT_EQ(reply.get(), "done");
    EXPECT_EQ(handled.count("one"), 1U);
}

TEST_F(HubOnce, SilenceEndsAConnectionOnBothSidesAndItIsMadeAgain) {
    gone_after = Milliseconds(400);
    auto options = server_options();
    options.gone_after = gone_after;
    make_server(std::move(options));
    server->start();
    const auto site = far("site/a");
    site->client->start();
    site->heard.wait("connected");
    seen.wait("connected site/a");
    // The hub knows after which silence from the first heartbeat on.
    std::this_thread::sleep_for(2 * gone_after);
    site->cable->hold(true);
    site->heard.wait("lost");
    seen.wait("lost site/a");
    site->cable->hold(false);
    site->heard.wait("connected", 2);
    seen.wait("connected site/a", 2);
    EXPECT_EQ(text_of(site->client->ask(hub::kHubName, "who", {}, kLong)), "site/a");
}

// Thousands of requests both ways and by way of the hub, while connections are cut all the time.
TEST_F(HubOnce, ThousandsWhileConnectionsAreCut) {
    constexpr int kRequests = 1000;
    constexpr int kCuts = 30;
    make_server(server_options());
    Happenings done;
    std::mutex counting;
    std::map<std::string, int> counts;
    const auto count_at = [&](const std::string& end) {
        return [&counting, &counts, end](hub::Request&& request, const hub::Answer& answer) {
            const auto number = request.content.body.text_or("");
            {
                const std::lock_guard lock(counting);
                ++counts[end + " for " + request.from + ": " + number];
            }
            answer(text("did " + number));
        };
    };
    server->handle("count", count_at("hub"));
    server->start();
    const auto a = far("run/j/a");
    const auto b = far("run/j/b");
    for (const auto* one : {&a, &b}) {
        (*one)->client->handle("count", count_at("peer"));
        (*one)->client->start();
        (*one)->heard.wait("connected");
    }
    const auto send = [&](hub::HubEnd& from, const std::string& to, int number) {
        from.request(to, "count", text(std::to_string(number)), kLong, [&done, number](hub::Reply&& reply) {
            // A peer that is not there just now is told of at once: nothing was sent then.
            if (!reply && reply.error().code == ReturnCode::not_ready) return done.add("not there");
            done.add(reply && reply->body.text_or("") == "did " + std::to_string(number) ? "good" : "bad");
        });
    };
    std::mt19937 chance(7);
    for (int number = 0; number < kRequests; ++number) {
        send(*a->client, hub::kHubName, number);
        send(*a->client, "run/j/b", number);
        send(*server, "run/j/b", number);
        if (number % (kRequests / kCuts) != 0) continue;
        (chance() % 2 == 0 ? a : b)->cable->cut();
        std::this_thread::sleep_for(Milliseconds(chance() % 20));
    }
    done.wait_for_all(3U * kRequests);
    EXPECT_EQ(done.count("bad"), 0U);
    EXPECT_GE(done.count("good"), std::size_t{kRequests}) << "all that the hub was asked, at the least";
    const std::lock_guard lock(counting);
    for (const auto& [what, times] : counts) EXPECT_EQ(times, 1) << what;
}

}  // namespace
}  // namespace rankexec::test
