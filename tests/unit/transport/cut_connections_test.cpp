// SPDX-License-Identifier: Apache-2.0
// Connections between a parent and a shim that are cut: nothing is lost with them, doubled, or out of order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "fake_transport_server.hpp"
#include "network_relay.hpp"
#include "rankexec/ipc/channel/parent_channel.hpp"
#include "rankexec/ipc/channel/peer_channels.hpp"
#include "rankexec/ipc/channel/resumption.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<std::uint64_t> numbers(std::uint64_t from, std::uint64_t last) {
    std::vector<std::uint64_t> result;
    for (auto number = from; number <= last; ++number) result.push_back(number);
    return result;
}

/// One shim's end, behind a network of its own.
class Shim {
public:
    Shim(EventLoop& loop, Bootstrap bootstrap) {
        constexpr auto kSupervision = static_cast<std::size_t>(ChannelKind::supervision);
        network = std::make_unique<NetworkRelay>(bootstrap.ports.at(kSupervision));
        bootstrap.ports.at(kSupervision) = network->port();
        bootstrap.host_identity = "another host";
        PeerChannels::Callbacks callbacks;
        callbacks.on_message = [this](ChannelKind, wire::Message&& message) {
            if (const auto* credit = std::get_if<wire::RankOutputCredit>(&message)) got.push_back(credit->bytes);
        };
        callbacks.on_broken = [this](const std::string& why) { broken.push_back(why); };
        callbacks.on_connected = [this](ChannelKind) { ++connections; };
        callbacks.on_disconnected = [this](ChannelKind) { ++cuts; };
        auto made =
            PeerChannels::connect(loop, bootstrap, PeerRole::shim, 0, {ChannelKind::supervision}, std::move(callbacks));
        EXPECT_TRUE(made) << made.error();
        channels = std::move(*made);
        EXPECT_TRUE(channels->send(ChannelKind::supervision, wire::ShimHello{}));
    }
    [[nodiscard]] bool all_confirmed() const { return channels->all_confirmed(ChannelKind::supervision); }
    void send(std::uint64_t number) const {
        EXPECT_TRUE(channels->send(ChannelKind::supervision, wire::RankInputTaken{0, number}));
    }

    std::unique_ptr<NetworkRelay> network;
    std::unique_ptr<PeerChannels> channels;
    std::vector<std::uint64_t> got;
    std::vector<std::string> broken;
    int connections = 0;
    int cuts = 0;
};

/// Both ends on one loop.
class CutConnections : public ::testing::Test {
protected:
    void SetUp() override {
        TransportServer::Options options;
        options.tcp = true;
        options.advertise_address = "127.0.0.1";
        auto started = TransportServer::start(loop, options);
        ASSERT_TRUE(started) << started.error().message;
        server = std::move(*started);
        ParentChannel::Callbacks callbacks;
        callbacks.on_message = [this](int, wire::Message&& message) {
            if (const auto* taken = std::get_if<wire::RankInputTaken>(&message)) got.push_back(taken->bytes);
            if (std::holds_alternative<wire::ShimHello>(message)) ++hellos;
        };
        callbacks.on_violation = callbacks.on_bad_body = [](int, const std::string& why) { FAIL() << why; };
        parent = std::make_unique<ParentChannel>(*server, ChannelKind::supervision, 1, std::move(callbacks));
        shim.emplace(loop, server->bootstrap());
        run_until([&] { return hellos == 1; });
    }
    void TearDown() override {
        EXPECT_THAT(shim->broken, IsEmpty());
        shim.reset();
        parent.reset();
        server.reset();
    }

    void run_until(const std::function<bool()>& done) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!done() && std::chrono::steady_clock::now() < deadline) loop.run_once(milliseconds(1000));
        ASSERT_TRUE(done());
    }
    void run_for(milliseconds time) {
        bool over = false;
        loop.call_after(time, [&] { over = true; });
        run_until([&] { return over; });
    }
    void send(std::uint64_t number) { EXPECT_TRUE(parent->send(0, wire::RankOutputCredit{0, number})); }
    /// Numbers both ways, of which those from `lost` on go to a connection that brings them nowhere.
    void exchange(std::uint64_t from, std::uint64_t lost, std::uint64_t last) {
        for (auto number = from; number < lost; ++number) {
            send(number);
            shim->send(number);
        }
        run_until([&] { return shim->got.size() == lost - 1 && got.size() == lost - 1; });
        shim->network->lose();
        for (auto number = lost; number <= last; ++number) {
            send(number);
            shim->send(number);
        }
        run_for(milliseconds(50));
        const int before = shim->connections;
        shim->network->cut();
        run_until([&] { return shim->connections > before; });
    }

    EventLoop loop;
    std::unique_ptr<TransportServer> server;
    std::unique_ptr<ParentChannel> parent;
    std::optional<Shim> shim;
    std::vector<std::uint64_t> got;
    int hellos = 0;
};

TEST_F(CutConnections, WhatWasLostIsSentAgainBothWays) {
    exchange(1, 4, 6);
    run_until([&] { return shim->got.size() == 6 && got.size() == 6; });
    EXPECT_EQ(shim->got, numbers(1, 6));
    EXPECT_EQ(got, numbers(1, 6));
    EXPECT_EQ(hellos, 1);
    EXPECT_EQ(parent->dropped(), 0U);
}

TEST_F(CutConnections, MoreThanIsKeptWithoutConfirmationIsSentAgainToo) {
    exchange(1, 101, 200);
    send(201);
    shim->send(201);
    run_until([&] { return shim->got.size() == 201 && got.size() == 201; });
    EXPECT_EQ(shim->got, numbers(1, 201));
    EXPECT_EQ(got, numbers(1, 201));
}

TEST_F(CutConnections, WhereNothingWasLostNothingIsDoubled) {
    exchange(1, 4, 3);
    exchange(4, 7, 6);
    send(7);
    shim->send(7);
    run_until([&] { return shim->got.size() == 7 && got.size() == 7; });
    run_for(milliseconds(50));
    EXPECT_EQ(shim->got, numbers(1, 7));
    EXPECT_EQ(got, numbers(1, 7));
}

TEST_F(CutConnections, WhatIsSentBeforeTheOtherEndKnowsOfTheCutArrives) {
    shim->network->cut();
    // Neither has read of it.
    send(1);
    shim->send(1);
    run_until([&] { return shim->cuts == 1; });
    send(2);
    shim->send(2);
    run_until([&] { return shim->connections == 2; });
    send(3);
    shim->send(3);
    run_until([&] { return shim->got.size() == 3 && got.size() == 3; });
    EXPECT_EQ(shim->got, numbers(1, 3));
    EXPECT_EQ(got, numbers(1, 3));
}

TEST_F(CutConnections, CutAtAnyMoment) {
    std::mt19937 random(11);  // NOLINT: the same each time
    constexpr std::uint64_t kLast = 2000;
    for (std::uint64_t number = 1; number <= kLast; ++number) {
        send(number);
        shim->send(number);
        if (random() % 50 == 0) shim->network->lose();
        if (random() % 4 == 0) loop.run_once(milliseconds(0));
        if (random() % 80 != 0) continue;
        shim->network->cut();
        const int before = shim->connections;
        // Often the next cut comes before, somewhere in the handshake.
        if (random() % 2 == 0) run_until([&] { return shim->connections > before; });
        run_for(milliseconds(random() % 80));
    }
    shim->network->cut();
    run_until([&] { return shim->got.size() >= kLast && got.size() >= kLast; });
    EXPECT_EQ(shim->got, numbers(1, kLast));
    EXPECT_EQ(got, numbers(1, kLast));
    EXPECT_GT(shim->connections, 3);
}

TEST_F(CutConnections, ASecondShimIsNotTakenForTheFirstOnItsNextConnection) {
    // The first has said no more than the second: hello.
    Shim second(loop, server->bootstrap());
    run_until([&] { return parent->dropped() == 1; });
    second.network->cut();
    run_until([&] { return parent->dropped() == 2; });
    send(1);
    run_until([&] { return shim->got.size() == 1; });
    EXPECT_THAT(second.got, IsEmpty());
    EXPECT_EQ(hellos, 1);
}

TEST_F(CutConnections, AShimKnowsWhetherItsLastReportHasCome) {
    run_for(milliseconds(1));
    shim->network->lose();
    EXPECT_TRUE(shim->channels->send(ChannelKind::supervision, wire::SupervisionEnded{}));
    run_for(milliseconds(50));
    EXPECT_FALSE(shim->all_confirmed());
    shim->network->cut();
    run_until([&] { return shim->all_confirmed(); });
    EXPECT_EQ(shim->connections, 2);
}

TEST_F(CutConnections, AParentThatClaimsToHaveWhatWasNeverSentBreaksTheSession) {
    wire::Envelope envelope;
    envelope.run_id = server->bootstrap().run_id;
    envelope.incarnation = server->bootstrap().incarnation;
    const auto claim = wire::encode(envelope, wire::Received{1000});
    ASSERT_TRUE(claim);
    EXPECT_TRUE(server->send(ChannelKind::supervision, parent->connection(0).route, *claim));
    run_until([&] { return !shim->broken.empty(); });
    EXPECT_THAT(shim->broken, ElementsAre("the parent has not received what it says it has"));
    shim->broken.clear();
}

class ConnectionsOfAShim : public ::testing::Test {
protected:
    ParentChannel::Callbacks callbacks() {
        ParentChannel::Callbacks made;
        made.on_message = [this](int, wire::Message&& message) { got.emplace_back(wire::name_of(message)); };
        made.on_violation = made.on_bad_body = [this](int, const std::string& why) { violations.push_back(why); };
        return made;
    }
    FakeTransportServer transport;
    std::vector<std::string> got;
    std::vector<std::string> violations;
    ParentChannel parent{transport, ChannelKind::supervision, 1, callbacks()};
};

TEST_F(ConnectionsOfAShim, TheLatestCountsInWhateverOrderTheyAreRead) {
    transport.receive("a", 0, wire::Resume{7, 1, 0});
    transport.receive("a", 1, wire::ShimHello{});
    EXPECT_TRUE(parent.send(0, wire::SignalRanks{18}));
    transport.receive("c", 0, wire::Resume{7, 3, 0});
    transport.receive("b", 0, wire::Resume{7, 2, 0});
    EXPECT_TRUE(parent.send(0, wire::SignalRanks{19}));
    EXPECT_THAT(transport.sent,
                ElementsAre("a: Resume", "a: SignalRanks", "c: Resume", "c: SignalRanks", "c: SignalRanks"));
    transport.receive("b", 2, wire::RankInputTaken{0, 1});
    transport.receive("c", 2, wire::RankInputTaken{0, 1});
    EXPECT_THAT(got, ElementsAre("ShimHello", "RankInputTaken"));
    EXPECT_THAT(violations, IsEmpty());
    EXPECT_EQ(parent.dropped(), 0U);
}

TEST_F(ConnectionsOfAShim, WhatComesBeforeItHasSaidWhoItIsIsNotRead) {
    transport.receive("a", 1, wire::ShimHello{});
    EXPECT_FALSE(parent.connected(0));
    transport.receive("a", 0, wire::Resume{7, 1, 0});
    transport.receive("a", 1, wire::ShimHello{});
    EXPECT_TRUE(parent.connected(0));
    EXPECT_THAT(got, ElementsAre("ShimHello"));
}

TEST_F(ConnectionsOfAShim, ASecondShimGetsNothing) {
    transport.receive("a", 0, wire::Resume{7, 1, 0});
    transport.receive("other", 0, wire::Resume{8, 1, 0});
    transport.receive("other", 0, wire::Resume{8, 2, 0});
    transport.receive("other", 1, wire::ShimHello{});
    EXPECT_TRUE(parent.send(0, wire::SignalRanks{18}));
    EXPECT_THAT(transport.sent, ElementsAre("a: Resume", "a: SignalRanks"));
    EXPECT_THAT(got, IsEmpty());
    EXPECT_EQ(parent.dropped(), 2U);
}

TEST_F(ConnectionsOfAShim, AGapEndsTheSession) {
    transport.receive("a", 0, wire::Resume{7, 1, 0});
    transport.receive("a", 1, wire::ShimHello{});
    transport.receive("a", 3, wire::RankInputTaken{0, 1});
    EXPECT_THAT(violations, ElementsAre("messages were lost on the supervision channel"));
}

TEST_F(ConnectionsOfAShim, WhoHasReceivedWhatWasNeverSentEndsTheSession) {
    transport.receive("a", 0, wire::Resume{7, 1, 0});
    transport.receive("a", 0, wire::Received{1});
    transport.receive("b", 0, wire::Resume{7, 2, 1});
    EXPECT_THAT(violations, SizeIs(2));
    EXPECT_THAT(violations, ::testing::Each("it has not received what it says it has"));
}

TEST(Resumption, KeepsWhatIsNotConfirmed) {
    Resumption resumption;
    for (int count = 0; count < 5; ++count) resumption.keep({wire::Frame{}});
    EXPECT_THAT(resumption.unreceived(), SizeIs(5));
    EXPECT_TRUE(resumption.received(0));
    EXPECT_THAT(resumption.unreceived(), SizeIs(5));
    EXPECT_TRUE(resumption.received(3));
    EXPECT_THAT(resumption.unreceived(), SizeIs(2));
    EXPECT_TRUE(resumption.received(3));
    EXPECT_FALSE(resumption.received(2)) << "it had three already";
    EXPECT_FALSE(resumption.received(6)) << "five were sent";
    EXPECT_TRUE(resumption.received(5));
    EXPECT_THAT(resumption.unreceived(), IsEmpty());
}

TEST(Resumption, ConfirmsOneInSixteenMessagesOrAQuarterOfAMebibyte) {
    const auto type = wire::type_number<wire::RankOutput>();
    Resumption resumption;
    for (int round = 0; round < 2; ++round) {
        for (int count = 1; count < 16; ++count) EXPECT_FALSE(resumption.must_confirm(type, 1)) << count;
        EXPECT_TRUE(resumption.must_confirm(type, 1));
    }
    EXPECT_FALSE(resumption.must_confirm(type, 100'000));
    EXPECT_FALSE(resumption.must_confirm(type, 100'000));
    EXPECT_TRUE(resumption.must_confirm(type, 100'000));
}

TEST(Resumption, ConfirmsSecretsAndTheLastReportAtOnce) {
    Resumption resumption;
    EXPECT_FALSE(resumption.must_confirm(wire::type_number<wire::SignalRanks>(), 1));
    EXPECT_TRUE(resumption.must_confirm(wire::type_number<wire::ShimSetup>(), 1));
    EXPECT_TRUE(resumption.must_confirm(wire::type_number<wire::SupervisionEnded>(), 1));
}

}  // namespace
}  // namespace rankexec
