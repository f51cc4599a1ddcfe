// SPDX-License-Identifier: Apache-2.0
// The active end, with a passive one that greets when the test wants it to.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/pipe/pipe_link.hpp"

namespace rankexec::pipe {
namespace {

const std::string kActive(32, 'a');
const std::string kPassive(32, 'b');

/// L3 begins its name: what is delivered is delivered once, and what is ready to be read is read.
class L3_Link : public ::testing::Test {
protected:
    L3_Link() {
        TransportServer::Options options;
        options.heartbeat_timeout = std::chrono::milliseconds(0);
        auto started = TransportServer::start(loop, options);
        EXPECT_TRUE(started);
        server = std::move(*started);
        for (const auto kind : {ChannelKind::execution, ChannelKind::handler}) {
            server->on_message(kind, [this, kind](const PeerConnection& from, std::vector<wire::Frame>&& /*frames*/) {
                (kind == ChannelKind::execution ? messages : signs) = from.route;
                if (!messages.empty() && !signs.empty()) on_both();
            });
        }
        ActiveLink::Callbacks callbacks;
        callbacks.on_ready = [this] { seen.emplace_back("ready"); };
        callbacks.on_frames = [this](const Envelope& envelope, std::vector<wire::Frame>&& /*frames*/) {
            seen.push_back(envelope.id.substr(0, 1));
            loop.stop();
        };
        callbacks.on_bad = [](const std::string& why) { ADD_FAILURE() << why; };
        callbacks.on_lost = [](bool, const std::string& why) { ADD_FAILURE() << why; };
        auto opened = ActiveLink::open(loop, server->bootstrap().for_rank(0), std::chrono::seconds(20), kActive,
                                       std::move(callbacks));
        EXPECT_TRUE(opened);
        link = std::move(*opened);
        loop.call_after(std::chrono::seconds(20), [this] {
            ADD_FAILURE() << "nothing came";
            loop.stop();
        });
    }
    void say(ChannelKind kind, FrameType type, const std::string& id = {}) {
        const auto& route = kind == ChannelKind::execution ? messages : signs;
        EXPECT_TRUE(server->send(kind, route, id.empty() ? to_frames(kPassive, type) : to_frames(kPassive, type, id)));
    }

    EventLoop loop;
    std::function<void()> on_both;
    std::unique_ptr<TransportServer> server;
    std::string messages;
    std::string signs;
    std::vector<std::string> seen;
    std::unique_ptr<ActiveLink> link;
};

TEST_F(L3_Link, WhatComesBeforeTheOtherLanesGreetingIsKeptForIt) {
    on_both = [this] {
        say(ChannelKind::execution, FrameType::hello);
        say(ChannelKind::execution, FrameType::taken, std::string(32, '1'));
        loop.call_after(std::chrono::milliseconds(100), [this] { say(ChannelKind::handler, FrameType::hello); });
    };
    loop.run();
    EXPECT_EQ(seen, (std::vector<std::string>{"ready", "1"}));
}

TEST_F(L3_Link, AnotherProcessHasToGreetOnBothLanes) {
    on_both = [this] {
        say(ChannelKind::execution, FrameType::hello);
        loop.call_after(std::chrono::milliseconds(100), [this] {
            const auto other = to_frames(std::string(32, 'c'), FrameType::hello);
            EXPECT_TRUE(server->send(ChannelKind::handler, signs, other));
            loop.call_after(std::chrono::milliseconds(100), [this] { loop.stop(); });
        });
    };
    loop.run();
    EXPECT_TRUE(seen.empty()) << seen.front();
    EXPECT_FALSE(link->ready());
}

/// Its routes are up for as long as it is told to say so.
class FakeServer final : public TransportServer {
public:
    void on_message(ChannelKind kind, OnMessage callback) override { receivers[kind] = std::move(callback); }
    void on_disconnect(ChannelKind kind, std::function<void()> callback) override {
        losses[kind] = std::move(callback);
    }
    bool send(ChannelKind /*kind*/, const std::string& route, const std::vector<wire::Frame>& /*frames*/) override {
        return !dead(route);
    }
    void adopt(int /*rank*/, RankLinks /*links*/) override {}
    [[nodiscard]] const Bootstrap& bootstrap() const override { throw std::logic_error("nobody asks"); }
    [[nodiscard]] std::uint64_t refused_handshakes() const override { return 0; }

    std::map<ChannelKind, OnMessage> receivers;
    std::map<ChannelKind, std::function<void()>> losses;
    std::function<bool(const std::string& route)> dead = [](const std::string&) { return false; };
};

/// The passive end, over connections that the test makes and loses.
class L3_PassiveLink : public ::testing::Test {
protected:
    L3_PassiveLink() {
        auto made = std::make_unique<FakeServer>();
        server = made.get();
        PassiveLink::Callbacks callbacks;
        callbacks.on_ready = [this] {
            seen.push_back("ready " + link->peer().substr(0, 1));
            if (link->peer() == kPassive) loop.stop();
        };
        callbacks.on_frames = [](const Envelope&, std::vector<wire::Frame>&&) { ADD_FAILURE(); };
        callbacks.on_bad = [](const std::string& why) { ADD_FAILURE() << why; };
        callbacks.on_lost = [this](bool, const std::string&) { seen.emplace_back("lost"); };
        link.emplace(loop, std::move(made), std::string(32, 'c'), std::move(callbacks));
        loop.call_after(std::chrono::seconds(20), [this] { loop.stop(); });
    }
    void greet(const std::string& session) {
        for (const auto kind : {ChannelKind::execution, ChannelKind::handler}) {
            PeerConnection from;
            from.route = session;
            server->receivers[kind](from, to_frames(session, FrameType::hello));
        }
    }

    EventLoop loop;
    FakeServer* server = nullptr;
    std::vector<std::string> seen;
    std::optional<PassiveLink> link;
};

TEST_F(L3_PassiveLink, WhoWaitsIsAdmittedWhenTheRouteGoesAfterTheNewsOfItsConnection) {
    greet(kActive);
    greet(kPassive);
    int looks = 0;
    // The first looks, when both lanes are said to be lost, find the routes still there.
    server->dead = [&](const std::string& route) { return route == kActive && ++looks > 6; };
    server->losses[ChannelKind::execution]();
    server->losses[ChannelKind::handler]();
    EXPECT_EQ(seen, (std::vector<std::string>{"ready a"}));
    loop.run();
    EXPECT_EQ(seen, (std::vector<std::string>{"ready a", "lost", "ready b"}));
}

}  // namespace
}  // namespace rankexec::pipe
