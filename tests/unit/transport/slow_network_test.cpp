// SPDX-License-Identifier: Apache-2.0
// A large tensor on a slow network: what must get through meanwhile does.
#include <gtest/gtest.h>

#include <random>

#include "network_relay.hpp"
#include "rankexec/ipc/channel/parent_channel.hpp"
#include "rankexec/ipc/channel/peer_channels.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;

/// Of each connection and direction; the tensors below take some seconds.
constexpr std::size_t kBytesPerSecond = std::size_t{18} << 20U;
constexpr std::size_t kTensorBytes = std::size_t{48} << 20U;
/// Much less than a tensor takes, and much more than a part.
constexpr milliseconds kHeartbeatTimeout{1500};

Tensor large_tensor() {
    std::vector<std::byte> bytes(kTensorBytes);
    std::mt19937 random(7);  // NOLINT: the same each time
    for (std::size_t at = 0; at < bytes.size(); at += 1009) bytes[at] = static_cast<std::byte>(random());
    return Tensor::copy_bytes(DType::uint8, {static_cast<std::int64_t>(bytes.size())}, bytes);
}

/// A parent and a rank that reaches it over the relays, both on one loop.
class SlowNetwork : public ::testing::Test {
protected:
    void SetUp() override {
        TransportServer::Options options;
        options.tcp = true;
        options.advertise_address = "127.0.0.1";
        options.heartbeat_timeout = kHeartbeatTimeout;
        auto started = TransportServer::start(loop, options);
        ASSERT_TRUE(started) << started.error().message;
        server = std::move(*started);
        for (const auto kind : {ChannelKind::execution, ChannelKind::handler}) {
            ParentChannel::Callbacks callbacks;
            callbacks.on_message = [this](int, wire::Message&& message) { at_parent.push_back(std::move(message)); };
            callbacks.on_violation = callbacks.on_bad_body = [](int, const std::string& why) { FAIL() << why; };
            parent.push_back(std::make_unique<ParentChannel>(*server, kind, 1, std::move(callbacks)));
        }
        connect();
    }
    void TearDown() override {
        rank.reset();
        server.reset();
        relays.clear();
    }

    void connect() {
        auto bootstrap = server->bootstrap().for_rank(0);
        bootstrap.host_identity = "another host";
        for (auto& port : bootstrap.ports) {
            relays.push_back(std::make_unique<NetworkRelay>(port, kBytesPerSecond));
            port = relays.back()->port();
        }
        PeerChannels::Callbacks callbacks;
        callbacks.on_message = [this](ChannelKind, wire::Message&& message) { at_rank.push_back(std::move(message)); };
        callbacks.on_bad_body = [this](ChannelKind, std::uint16_t type, const wire::DecodeError& error) {
            EXPECT_EQ(type, wire::type_number<wire::Execute>());
            // Among the messages, where it stands for the task.
            at_rank.emplace_back(wire::Attach{});
            bad_call = error.call;
        };
        callbacks.on_broken = [](const std::string& why) { FAIL() << why; };
        callbacks.on_connected = [](ChannelKind) {};
        callbacks.on_disconnected = [this](ChannelKind) { ++lost; };
        auto made = PeerChannels::connect(loop, bootstrap, PeerRole::rank, 0,
                                          {ChannelKind::execution, ChannelKind::handler}, std::move(callbacks));
        ASSERT_TRUE(made) << made.error();
        rank = std::move(*made);
        EXPECT_TRUE(rank->send(ChannelKind::execution, wire::Hello{}));
        EXPECT_TRUE(rank->send(ChannelKind::handler, wire::Attach{}));
        run_until([&] { return at_parent.size() == 2; });
        at_parent.clear();
    }

    void run_until(const std::function<bool()>& done) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!done() && std::chrono::steady_clock::now() < deadline) loop.run_once(milliseconds(1000));
        ASSERT_TRUE(done());
    }
    [[nodiscard]] ParentChannel& execution() const { return *parent[0]; }
    [[nodiscard]] ParentChannel& handler() const { return *parent[1]; }

    EventLoop loop;
    std::unique_ptr<TransportServer> server;
    std::vector<std::unique_ptr<ParentChannel>> parent;
    std::vector<std::unique_ptr<NetworkRelay>> relays;
    std::unique_ptr<PeerChannels> rank;
    std::vector<wire::Message> at_parent;
    std::vector<wire::Message> at_rank;
    std::optional<std::uint64_t> bad_call;
    int lost = 0;
};

// One way at a time: who sends something large asks for no sign of life meanwhile.
TEST_F(SlowNetwork, ALargeTaskCostsNoHeartbeat) {
    wire::Execute task;
    task.input.tensors.emplace("large", large_tensor());
    ASSERT_TRUE(execution().send(0, task));
    run_until([&] { return at_rank.size() == 1 || lost > 0; });
    ASSERT_EQ(lost, 0) << "the answer to a heartbeat has waited behind a tensor";
    EXPECT_TRUE(at_rank.front() == wire::Message(task));
}

TEST_F(SlowNetwork, ALargeResultCostsNoHeartbeat) {
    wire::Result result;
    result.reply.tensors.emplace("large", large_tensor());
    ASSERT_TRUE(rank->send(ChannelKind::execution, result));
    run_until([&] { return at_parent.size() == 1 || lost > 0; });
    ASSERT_EQ(lost, 0) << "the answer to a heartbeat has waited behind a tensor";
    EXPECT_TRUE(at_parent.front() == wire::Message(result));
}

TEST_F(SlowNetwork, AnAbortDoesNotWaitForTheTaskThatItAborts) {
    wire::Execute task;
    task.task_id = 7;
    task.input.tensors.emplace("large", large_tensor());
    ASSERT_TRUE(execution().send(0, task));
    ASSERT_TRUE(handler().send(0, wire::AbortTask{7, "now"}));
    EXPECT_TRUE(execution().cut<wire::Execute>(0));
    wire::Execute next;
    next.task_id = 8;
    ASSERT_TRUE(execution().send(0, next));
    run_until([&] { return at_rank.size() == 3; });
    EXPECT_TRUE(std::holds_alternative<wire::AbortTask>(at_rank[0]));
    EXPECT_TRUE(std::holds_alternative<wire::Attach>(at_rank[1]));
    EXPECT_EQ(bad_call, 7U);
    EXPECT_TRUE(at_rank[2] == wire::Message(next));
    EXPECT_EQ(lost, 0);
}

TEST_F(SlowNetwork, AnAbortOvertakesALargeEventAndOtherEventsDoNot) {
    wire::ParentEvent large;
    large.event_id = 1;
    large.type = std::string(std::size_t{15} << 20U, 'e');
    wire::ParentEvent small;
    small.event_id = 2;
    ASSERT_TRUE(handler().send(0, large));
    ASSERT_TRUE(handler().send(0, small));
    ASSERT_TRUE(handler().send(0, wire::AbortTask{7, "now"}));
    run_until([&] { return at_rank.size() == 3; });
    EXPECT_TRUE(std::holds_alternative<wire::AbortTask>(at_rank[0]));
    EXPECT_TRUE(at_rank[1] == wire::Message(large));
    EXPECT_TRUE(at_rank[2] == wire::Message(small));
}

TEST_F(SlowNetwork, AnAbortedTasksResultIsNotWaitedFor) {
    wire::Result result;
    result.task_id = 7;
    result.reply.tensors.emplace("large", large_tensor());
    ASSERT_TRUE(rank->send(ChannelKind::execution, result));
    ASSERT_TRUE(handler().send(0, wire::AbortTask{7, "now"}));
    run_until([&] { return at_parent.size() == 1; });
    const auto* const answer = std::get_if<wire::Result>(&at_parent.front());
    ASSERT_NE(answer, nullptr);
    EXPECT_EQ(answer->task_id, 7U);
    EXPECT_EQ(answer->reply.code, ReturnCode::execution_result_error);
}

TEST_F(SlowNetwork, CloseOvertakesTheTaskAndIsTheLast) {
    wire::Execute task;
    task.input.tensors.emplace("large", large_tensor());
    ASSERT_TRUE(execution().send(0, task));
    ASSERT_TRUE(execution().send(0, wire::Close{0, "enough"}));
    run_until([&] { return at_rank.size() == 1; });
    EXPECT_TRUE(std::holds_alternative<wire::Close>(at_rank.front()));
}

}  // namespace
}  // namespace rankexec
