// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>

#include "rankexec/ipc/transport/transport_client.hpp"
#include "rankexec/ipc/transport/transport_server.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;

wire::Frame frame_of(std::string text) {
    auto owner = std::make_shared<std::string>(std::move(text));
    return {std::as_bytes(std::span(owner->data(), owner->size())), owner};
}
std::string text_of(const wire::Frame& frame) {
    return {reinterpret_cast<const char*>(frame.bytes.data()), frame.bytes.size()};
}

/// A server and its clients on one loop; the test drives it until something is true.
class Transport : public ::testing::Test {
protected:
    void start(bool tcp) {
        TransportServer::Options options;
        options.world_size = 4;
        options.tcp = tcp;
        if (tcp) options.advertise_address = "127.0.0.1";
        auto started = TransportServer::start(loop, options);
        ASSERT_TRUE(started) << started.error().message;
        server = std::move(*started);
        server->on_message(ChannelKind::execution,
                           [this](const PeerConnection& from, std::vector<wire::Frame>&& frames) {
                               last = from;
                               last_frames = frames;
                               received.push_back(text_of(frames.front()));
                           });
    }

    std::unique_ptr<TransportClient> client(const Bootstrap& bootstrap, PeerRole role, int rank) {
        TransportClient::Callbacks callbacks;
        callbacks.on_message = [this](ChannelKind, std::vector<wire::Frame>&& frames) {
            answers.push_back(text_of(frames.front()));
        };
        callbacks.on_connected = [this](ChannelKind) { ++connected; };
        callbacks.on_disconnected = [this](ChannelKind) { ++disconnected; };
        callbacks.on_refused = [this](ChannelKind, const std::string&) { ++refused; };
        auto made = TransportClient::connect(loop, bootstrap, role, rank, {ChannelKind::execution},
                                             std::move(callbacks), milliseconds(2000));
        EXPECT_TRUE(made) << made.error();
        return made ? std::move(*made) : nullptr;
    }

    void run_until(const std::function<bool()>& done) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!done() && std::chrono::steady_clock::now() < deadline) loop.run_once(milliseconds(1000));
        EXPECT_TRUE(done());
    }

    /// What a rank on another host sees.
    static Bootstrap elsewhere(Bootstrap bootstrap) {
        bootstrap.host_identity = "another host";
        return bootstrap;
    }

    EventLoop loop;
    std::unique_ptr<TransportServer> server;
    PeerConnection last;
    std::vector<wire::Frame> last_frames;
    std::vector<std::string> received;
    std::vector<std::string> answers;
    int connected = 0;
    int disconnected = 0;
    int refused = 0;
};

TEST_F(Transport, ARankOnThisHostUsesIpcAndPlain) {
    start(true);
    auto rank = client(server->bootstrap().for_rank(2), PeerRole::rank, 2);
    rank->send(ChannelKind::execution, {frame_of("hello")});
    run_until([&] { return received.size() == 1; });
    EXPECT_EQ(last.rank, 2);
    EXPECT_EQ(last.role, PeerRole::rank);
    EXPECT_FALSE(last.curve);
    EXPECT_FALSE(last.tcp);
    EXPECT_TRUE(server->send(ChannelKind::execution, last.route, {frame_of("welcome")}));
    run_until([&] { return answers.size() == 1; });
    EXPECT_EQ(answers.front(), "welcome");
    EXPECT_EQ(connected, 1);
}

TEST_F(Transport, ARankElsewhereUsesTcpAndCurve) {
    start(true);
    auto rank = client(elsewhere(server->bootstrap().for_rank(3)), PeerRole::rank, 3);
    rank->send(ChannelKind::execution, {frame_of("hello")});
    run_until([&] { return received.size() == 1; });
    EXPECT_EQ(last.rank, 3);
    EXPECT_TRUE(last.curve);
    EXPECT_TRUE(last.tcp);
    EXPECT_EQ(server->refused_handshakes(), 0U);
}

TEST_F(Transport, FramesArriveAsTheyWereSent) {
    start(true);
    auto rank = client(elsewhere(server->bootstrap().for_rank(3)), PeerRole::rank, 3);
    wire::Result result;
    result.task_id = 7;
    for (const std::int64_t size : {0, 10, 5000}) {
        const std::vector<std::byte> bytes(static_cast<std::size_t>(size), std::byte{0x5a});
        result.reply.tensors.emplace(std::to_string(size), Tensor::copy_bytes(DType::uint8, {size}, bytes));
    }
    const auto sent = wire::encode({}, result).value();
    rank->send(ChannelKind::execution, sent);
    run_until([&] { return received.size() == 1; });
    ASSERT_EQ(last_frames.size(), sent.size());
    for (std::size_t index = 0; index < sent.size(); ++index)
        EXPECT_EQ(text_of(last_frames[index]), text_of(sent[index]));
    const auto decoded = wire::decode(last_frames);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->message, wire::Message(result));
}

TEST_F(Transport, AnAnswerToWhatWasSentIsNotedWithoutTheDescriptorsTelling) {
    // Sending takes what the descriptor would have told; each side sends while the other's messages arrive.
    start(false);
    auto rank = client(server->bootstrap().for_rank(1), PeerRole::rank, 1);
    rank->send(ChannelKind::execution, {frame_of("hello")});
    run_until([&] { return received.size() == 1; });
    constexpr std::size_t kRounds = 2000;
    for (std::size_t round = 1; round <= kRounds; ++round) {
        rank->send(ChannelKind::execution, {frame_of("task")});
        ASSERT_TRUE(server->send(ChannelKind::execution, last.route, {frame_of("answer")}));
        if (round % 7 == 0) run_until([&] { return received.size() == round + 1 && answers.size() == round; });
    }
    run_until([&] { return received.size() == kRounds + 1 && answers.size() == kRounds; });
}

TEST_F(Transport, AnotherRanksNameIsRefusedInTheHandshake) {
    start(true);
    auto rank = client(server->bootstrap().for_rank(2), PeerRole::rank, 1);
    rank->send(ChannelKind::execution, {frame_of("hello")});
    run_until([&] { return server->refused_handshakes() > 0 && refused > 0; });
    EXPECT_TRUE(received.empty());
}

TEST_F(Transport, AnotherRunsKeysAreRefusedOnTcp) {
    start(true);
    auto foreign = elsewhere(server->bootstrap().for_rank(2));
    foreign.secret = Secret::random();
    auto rank = client(foreign, PeerRole::rank, 2);
    rank->send(ChannelKind::execution, {frame_of("hello")});
    run_until([&] { return server->refused_handshakes() > 0; });
    EXPECT_TRUE(received.empty());
}

TEST_F(Transport, AShimsCredentialsDoNotOpenARanksChannel) {
    start(true);
    auto shim = client(server->bootstrap(), PeerRole::shim, 0);
    shim->send(ChannelKind::execution, {frame_of("hello")});
    run_until([&] { return server->refused_handshakes() > 0; });
    EXPECT_TRUE(received.empty());
}

TEST_F(Transport, TheClientLearnsThatTheParentIsGone) {
    start(false);
    auto rank = client(server->bootstrap().for_rank(0), PeerRole::rank, 0);
    rank->send(ChannelKind::execution, {frame_of("hello")});
    run_until([&] { return received.size() == 1; });
    server.reset();
    run_until([&] { return disconnected == 1; });
}

TEST_F(Transport, AParentThatListensHereOnlyIsNamedAsTheReason) {
    start(false);
    const auto made = TransportClient::connect(loop, elsewhere(server->bootstrap().for_rank(0)), PeerRole::rank, 0,
                                               {ChannelKind::execution}, {}, milliseconds(100));
    ASSERT_FALSE(made);
    EXPECT_NE(made.error().find("another host"), std::string::npos);
}

TEST_F(Transport, BootstrapSurvivesItsTextForm) {
    start(true);
    const auto rank = server->bootstrap().for_rank(1);
    const auto read = Bootstrap::from_text(rank.to_text());
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(read->run_id, rank.run_id);
    EXPECT_EQ(read->rank, 1);
    EXPECT_EQ(read->ports, rank.ports);
    EXPECT_EQ(read->addresses, rank.addresses);
    EXPECT_EQ(read->server_key, rank.server_key);
    EXPECT_EQ(read->heartbeat_timeout, kHeartbeatTimeout);
    EXPECT_TRUE(std::ranges::equal(read->secret.bytes(), rank.secret.bytes()));
    const auto text = rank.to_text();
    for (std::size_t size = 0; size < text.size(); ++size) {
        EXPECT_FALSE(Bootstrap::from_text(std::string_view(text).substr(0, size))) << size;
    }
}

}  // namespace
}  // namespace rankexec
