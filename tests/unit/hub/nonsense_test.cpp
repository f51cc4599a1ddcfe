// SPDX-License-Identifier: Apache-2.0
// A peer with a right key that says what it should not.
#include <gmock/gmock.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <future>
#include <random>

#include <zmq.hpp>

#include "rankexec/ipc/hub/hub_messages.hpp"
#include "unit/hub/hub_ends.hpp"

namespace rankexec::test {
namespace {

using hub::Envelope;
using hub::MessageType;
using ::testing::ElementsAre;
using ::testing::Lt;

constexpr const char* kSession = "0123456789abcdef0123456789abcdef";
constexpr const char* kId = "fedcba9876543210fedcba9876543210";

std::string bytes_of(const Envelope& envelope) {
    const auto frame = hub::encode_envelope(envelope);
    return {reinterpret_cast<const char*>(frame.bytes.data()), frame.bytes.size()};
}

/// A socket that a hub lets in, and nothing above it.
class RawPeer {
public:
    RawPeer(const std::string& endpoint, const hub::PublicKey& hub_key, const hub::KeyPair& keys) {
        socket_.set(zmq::sockopt::linger, 0);
        zmq_setsockopt(socket_.handle(), ZMQ_CURVE_SERVERKEY, hub_key.data(), hub_key.size());
        zmq_setsockopt(socket_.handle(), ZMQ_CURVE_PUBLICKEY, keys.public_key.data(), keys.public_key.size());
        zmq_setsockopt(socket_.handle(), ZMQ_CURVE_SECRETKEY, keys.secret_key.data(), keys.secret_key.size());
        socket_.connect(endpoint);
    }
    void send(const std::vector<std::string>& parts) {
        for (std::size_t part = 0; part < parts.size(); ++part) {
            socket_.send(zmq::buffer(parts[part]),
                         part + 1 < parts.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
        }
    }
    /// The next that says something; its envelope.
    Envelope receive() {
        while (true) {
            zmq::message_t part;
            EXPECT_TRUE(socket_.recv(part).has_value());
            const auto envelope = hub::decode_envelope({static_cast<const std::byte*>(part.data()), part.size()});
            for (bool more = part.more(); more;) {
                zmq::message_t rest;
                EXPECT_TRUE(socket_.recv(rest).has_value());
                more = rest.more();
            }
            EXPECT_TRUE(envelope.has_value());
            // Nonsense that begins as a version would is told that it is another one.
            if (envelope && envelope->type != MessageType::probe && envelope->type != MessageType::refused) {
                return *envelope;
            }
        }
    }
    void say_hello() {
        send({bytes_of({MessageType::hello, {}, kSession, {}, 1})});
        const auto welcome = receive();
        EXPECT_EQ(welcome.type, MessageType::welcome);
    }

private:
    zmq::context_t context_;
    zmq::socket_t socket_{context_, zmq::socket_type::dealer};
};

class HubNonsense : public Hub {
protected:
    [[nodiscard]] std::unique_ptr<RawPeer> raw(const std::string& name) {
        const auto keys = new_keys();
        server->allow(name, keys.public_key);
        return std::make_unique<RawPeer>(endpoint, hub_keys.public_key, keys);
    }
    /// The hub is as it was, to others.
    void expect_well() {
        EXPECT_EQ(text_of(connected_client("site/well")->ask("controller", "who", {}, kLong)), "site/well");
    }
};

TEST_F(HubNonsense, AnythingAtAll) {
    start_server();
    const auto peer = raw("site/a");
    peer->say_hello();
    const auto before = server->refused();
    std::mt19937 chance(11);
    constexpr int kMessages = 2000;
    for (int number = 0; number < kMessages; ++number) {
        std::vector<std::string> parts(1 + chance() % 4);
        for (auto& part : parts) {
            part.resize(chance() % 600);
            for (auto& byte : part) byte = static_cast<char>(chance());
        }
        peer->send(parts);
    }
    // What was random was refused in its order before this.
    peer->send({bytes_of({MessageType::request, "controller", kId, "who", 1000}), "no msgpack"});
    const auto reply = peer->receive();
    EXPECT_EQ(reply.type, MessageType::reply);
    EXPECT_EQ(reply.number, static_cast<std::int64_t>(ReturnCode::bad_request_data));
    EXPECT_EQ(server->refused() - before, std::uint64_t{kMessages});
    expect_well();
}

TEST_F(HubNonsense, WhatIsTrueInItselfButNotHisToSay) {
    std::atomic<int> handled = 0;
    make_server(server_options());
    server->handle("count", [&](hub::Request&&, const hub::Answer& answer) {
        ++handled;
        answer({});
    });
    server->start();
    const auto victim = connected_client("run/j/victim");
    const auto peer = raw("run/j/evil");
    // Before its hello.
    peer->send({bytes_of({MessageType::request, "controller", kId, "count", 1000}), "", ""});
    peer->say_hello();
    EXPECT_EQ(handled, 0);
    // Replies to what it was not asked, gots of what it has not asked, the hub's own words, another's name.
    for (const auto type :
         {MessageType::reply, MessageType::got, MessageType::welcome, MessageType::refused, MessageType::probe}) {
        for (const auto* name : {"run/j/victim", "controller", "run/j/evil", "site/x"}) {
            peer->send({bytes_of({type, name, kId, {}, 0}), "content"});
        }
    }
    EXPECT_EQ(text_of(victim->ask("controller", "who", {}, kLong)), "run/j/victim");
    peer->send({bytes_of({MessageType::request, "controller", kId, "who", 1000}), "no msgpack"});
    EXPECT_EQ(peer->receive().id, kId);
    EXPECT_THAT(server->peers(), ElementsAre("run/j/evil", "run/j/victim"));
    expect_well();
}

// An answer is the asked one's to give: another peer that knows the id cannot.
TEST_F(HubNonsense, AnotherPeersAnswerIsNone) {
    start_server();
    std::promise<hub::Answer> held;
    const auto keys = new_keys();
    server->allow("run/j/b", keys.public_key);
    const auto b = make_client(client_options(keys));
    b->handle("hold", [&](hub::Request&&, hub::Answer answer) { held.set_value(std::move(answer)); });
    b->start();
    ASSERT_TRUE(b->wait_connected(kLong));
    const auto asker = raw("run/j/a");
    asker->say_hello();
    const auto evil = raw("run/j/c");
    evil->say_hello();
    auto body = hub::encode_body("hold", {}, {});
    ASSERT_TRUE(body.has_value());
    std::vector<std::string> parts{bytes_of({MessageType::request, "run/j/b", kId, "hold", 60'000})};
    for (const auto& part : **body)
        parts.emplace_back(reinterpret_cast<const char*>(part.bytes.data()), part.bytes.size());
    asker->send(parts);
    const auto answer = held.get_future().get();
    evil->send({bytes_of({MessageType::reply, "run/j/a", kId, {}, 0}), "lies"});
    evil->send({bytes_of({MessageType::request, "controller", kSession, "who", 1000}), "x"});
    EXPECT_EQ(evil->receive().id, kSession) << "and so the hub has seen the lie";
    answer({});
    const auto came = asker->receive();
    EXPECT_EQ(came.type, MessageType::reply);
    EXPECT_EQ(came.peer, "run/j/b");
}

std::size_t resident_megabytes() {
    std::ifstream file("/proc/self/statm");
    std::size_t all = 0;
    std::size_t resident = 0;
    file >> all >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) >> 20U;
}

TEST_F(HubNonsense, AFloodOfRequestsIsRefusedAboveItsBoundAndOthersAreServed) {
    std::mutex mutex;
    std::vector<hub::Answer> never;
    make_server(server_options());
    server->handle("never", [&](hub::Request&&, hub::Answer answer) {
        const std::lock_guard lock(mutex);
        never.push_back(std::move(answer));
    });
    server->start();
    const auto flooding = connected_client("site/flood");
    constexpr std::size_t kRequests = 20'000;
    constexpr std::size_t kOpen = 4096;
    std::atomic<std::size_t> refused = 0;
    std::promise<void> all_refused;
    for (std::size_t number = 0; number < kRequests; ++number) {
        flooding->request("controller", "never", {}, kLong, [&](hub::Reply&& reply) {
            const bool full = !reply && reply.error().code == ReturnCode::bad_request_data;
            if (full && ++refused == kRequests - kOpen) all_refused.set_value();
        });
    }
    expect_well();
    all_refused.get_future().wait();
    flooding->close();
    EXPECT_EQ(refused, kRequests - kOpen);
    const std::lock_guard lock(mutex);
    EXPECT_EQ(never.size(), kOpen);
    never.clear();
}

TEST_F(HubNonsense, AnswersThatNobodyFetchesAreBounded) {
    make_server(server_options());
    // 8 MiB each, never fetched.
    server->handle("large", [](hub::Request&&, const hub::Answer& answer) {
        Shareable content;
        content.body = Bytes(8U << 20U);
        answer(content);
    });
    server->start();
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    // One has several bytes of its own for each, the other keeps 256 MiB of what was freed: neither shows the bound.
    constexpr int kAnswers = 8;
#else
    constexpr int kAnswers = 64;
#endif
    const auto before = resident_megabytes();
    const auto keys = new_keys();
    server->allow("site/a", keys.public_key);
    {
        RawPeer peer(endpoint, hub_keys.public_key, keys);
        peer.say_hello();
        auto body = hub::encode_body("large", {}, {});
        ASSERT_TRUE(body.has_value());
        for (int number = 0; number < kAnswers; ++number) {
            auto id = std::string(kId);
            id.replace(0, 4, std::to_string(1000 + number));
            std::vector<std::string> parts{bytes_of({MessageType::request, "controller", id, "large", 600'000})};
            for (const auto& part : **body) {
                parts.emplace_back(reinterpret_cast<const char*>(part.bytes.data()), part.bytes.size());
            }
            peer.send(parts);
            EXPECT_EQ(peer.receive().id, id);
        }
        if (kAnswers == 64) {
            EXPECT_THAT(resident_megabytes() - before, Lt(420U)) << "of 512";
        }
    }
    expect_well();
}

}  // namespace
}  // namespace rankexec::test
