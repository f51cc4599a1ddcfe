// SPDX-License-Identifier: Apache-2.0
// A large tensor on a slow network: what must get through meanwhile does.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <list>
#include <mutex>
#include <random>
#include <thread>

#include "rankexec/core/system/unique_fd.hpp"
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

/// Passes connections to a port on to another one, slowly, and buffers little.
class SlowRelay {
public:
    explicit SlowRelay(int target) : target_(target) {
        listener_ = small_socket();
        auto address = local(0);
        EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(listener_.get(), 16), 0);
        socklen_t size = sizeof address;
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        acceptor_ = std::thread([this] { accept_all(); });
    }
    ~SlowRelay() {
        ::shutdown(listener_.get(), SHUT_RDWR);
        acceptor_.join();
        cut();
        for (auto& thread : threads_) thread.join();
    }
    SlowRelay(const SlowRelay&) = delete;
    SlowRelay& operator=(const SlowRelay&) = delete;

    [[nodiscard]] int port() const { return port_; }
    /// Ends the connections that there are.
    void cut() {
        const std::lock_guard lock(mutex_);
        for (auto& fd : fds_) ::shutdown(fd.get(), SHUT_RDWR);
    }

private:
    static sockaddr_in local(int port) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return address;
    }
    /// With small buffers, which those of its accepted connections are too.
    static UniqueFd small_socket() {
        UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const int small = 64 * 1024;
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        return fd;
    }
    void accept_all() {
        for (;;) {
            UniqueFd one(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!one.valid()) return;
            auto other = small_socket();
            const auto address = local(target_);
            if (::connect(other.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) continue;
            const int from = one.get();
            const int to = other.get();
            const std::lock_guard lock(mutex_);
            fds_.push_back(std::move(one));
            fds_.push_back(std::move(other));
            threads_.emplace_back([from, to] { pass(from, to); });
            threads_.emplace_back([from, to] { pass(to, from); });
        }
    }
    static void pass(int from, int to) {
        std::vector<char> bytes(16 * 1024);
        for (;;) {
            const auto size = ::recv(from, bytes.data(), bytes.size(), 0);
            if (size <= 0) break;
            std::this_thread::sleep_for(std::chrono::microseconds(1'000'000 * size / kBytesPerSecond));
            if (::send(to, bytes.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) != size) break;
        }
        ::shutdown(from, SHUT_RDWR);
        ::shutdown(to, SHUT_RDWR);
    }

    int target_;
    int port_ = 0;
    UniqueFd listener_;
    std::mutex mutex_;
    std::list<UniqueFd> fds_;  ///< guarded by mutex_
    std::list<std::thread> threads_;
    std::thread acceptor_;
};

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
            relays.push_back(std::make_unique<SlowRelay>(port));
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
        callbacks.on_broken = [this](const std::string& why) {
            if (!may_break) FAIL() << why;
            broken.push_back(why);
        };
        callbacks.may_miss = [this](ChannelKind) { return may_miss; };
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
    /// To the rank, as the parent's message of that number.
    void send_numbered(std::uint64_t sequence) {
        wire::Envelope envelope;
        envelope.run_id = server->bootstrap().run_id;
        envelope.incarnation = server->bootstrap().incarnation;
        envelope.sequence = sequence;
        wire::Execute task;
        task.task_id = sequence;
        const auto frames = wire::encode(envelope, task);
        ASSERT_TRUE(frames);
        EXPECT_TRUE(server->send(ChannelKind::execution, execution().connection(0).route, *frames));
    }
    /// The rank is on a new connection, and the parent knows it.
    void cut_and_reconnect() {
        const int before = lost;
        relays.front()->cut();
        run_until([&] { return lost > before; });
        const auto said = at_parent.size();
        EXPECT_TRUE(rank->send(ChannelKind::execution, wire::Hello{}));
        run_until([&] { return at_parent.size() > said; });
    }
    [[nodiscard]] ParentChannel& execution() const { return *parent[0]; }
    [[nodiscard]] ParentChannel& handler() const { return *parent[1]; }

    EventLoop loop;
    std::unique_ptr<TransportServer> server;
    std::vector<std::unique_ptr<ParentChannel>> parent;
    std::vector<std::unique_ptr<SlowRelay>> relays;
    std::unique_ptr<PeerChannels> rank;
    std::vector<wire::Message> at_parent;
    std::vector<wire::Message> at_rank;
    std::optional<std::uint64_t> bad_call;
    int lost = 0;
    bool may_miss = false;
    bool may_break = false;
    std::vector<std::string> broken;
};

TEST_F(SlowNetwork, WhoMayMissMessagesDoesWithoutThoseOfAConnectionThatWasCut) {
    may_miss = true;
    send_numbered(1);
    run_until([&] { return at_rank.size() == 1; });
    cut_and_reconnect();
    send_numbered(4);
    run_until([&] { return at_rank.size() == 2; });
    send_numbered(5);
    run_until([&] { return at_rank.size() == 3; });
    EXPECT_EQ(std::get<wire::Execute>(at_rank.back()).task_id, 5U);
    // One gap for one cut.
    may_break = true;
    send_numbered(7);
    run_until([&] { return !broken.empty(); });
    EXPECT_EQ(broken.front(), "messages were lost on the execution channel");
}

TEST_F(SlowNetwork, WhoMayMissNoneIsBrokenByAGapAfterACut) {
    send_numbered(1);
    run_until([&] { return at_rank.size() == 1; });
    cut_and_reconnect();
    send_numbered(2);
    run_until([&] { return at_rank.size() == 2; });
    may_break = true;
    send_numbered(4);
    run_until([&] { return !broken.empty(); });
    EXPECT_EQ(broken.front(), "messages were lost on the execution channel");
}

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
