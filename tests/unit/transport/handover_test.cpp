// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/handover.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "rankexec/ipc/transport/handover_message.hpp"
#include "rankexec/ipc/transport/run_directory.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

class Handover : public ::testing::Test {
protected:
    void SetUp() override {
        directory.emplace(*RunDirectory::make(*choose_run_directory()));
        bootstrap.run_directory = directory->path();
        bootstrap.world_size = 3;
        server = *HandoverServer::start(
            loop, bootstrap,
            [this](int rank, const HandoverWish& wish) {
                asked.push_back(rank);
                wished = wish;
                if (serving) serving(rank);
                return answer;
            },
            milliseconds(300));
        answer.bytes = {std::byte{1}, std::byte{2}};
        reactor = std::thread([this] { loop.run(); });
    }
    void TearDown() override {
        loop.stop();
        reactor.join();
        const auto path = handover_path(bootstrap.run_directory);
        EXPECT_TRUE(std::filesystem::exists(path));
        server.reset();
        EXPECT_FALSE(std::filesystem::exists(path));
    }

    UniqueFd connect() {
        UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        connect(socket);
        return socket;
    }
    void connect(const UniqueFd& socket) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strcpy(address.sun_path, handover_path(bootstrap.run_directory).c_str());
        EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    /// Waits for the parent to hang up without a word.
    static void expect_refusal(const UniqueFd& socket) {
        char byte = 0;
        EXPECT_LE(::recv(socket.get(), &byte, 1, 0), 0);
    }
    std::uint64_t refused() {
        std::promise<std::uint64_t> promise;
        loop.post([&] { promise.set_value(server->refused()); });
        return promise.get_future().get();
    }

    EventLoop loop;
    std::optional<RunDirectory> directory;
    Bootstrap bootstrap{"run", 1, 0, -1, Secret::random(), {}, {}, {}, {}, {}};
    HandoverServer::Handover answer;
    HandoverWish wished;
    std::function<void(int rank)> serving;
    std::vector<int> asked;  ///< loop's thread, until it has ended
    std::unique_ptr<HandoverServer> server;
    std::thread reactor;
};

TEST_F(Handover, ARankGetsBytesAndDescriptors) {
    const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    answer.descriptors = {file.get(), file.get()};
    const auto received =
        receive_handover(bootstrap.for_rank(2), {HandoverWish::Kind::result_segment, 7, std::uint64_t{1} << 40U});
    ASSERT_TRUE(received) << received.error();
    EXPECT_EQ(received->bytes, answer.bytes);
    ASSERT_EQ(received->descriptors.size(), 2U);
    EXPECT_EQ(::fcntl(received->descriptors[0].get(), F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(asked, std::vector{2});
    EXPECT_EQ(wished.kind, HandoverWish::Kind::result_segment);
    EXPECT_EQ(wished.number, 7U);
    EXPECT_EQ(wished.size, std::uint64_t{1} << 40U);
    EXPECT_EQ(refused(), 0U);
}

TEST_F(Handover, TheConnectionCanLiveOn) {
    std::promise<UniqueFd> kept;
    answer.keep = [&](UniqueFd connection) { kept.set_value(std::move(connection)); };
    const auto received = receive_handover(bootstrap.for_rank(1));
    ASSERT_TRUE(received) << received.error();
    ASSERT_EQ(::send(received->connection.get(), "x", 1, MSG_NOSIGNAL), 1);
    const auto connection = kept.get_future().get();
    char byte = 0;
    std::array waiting{pollfd{connection.get(), POLLIN, 0}};
    ASSERT_EQ(::poll(waiting.data(), waiting.size(), -1), 1);
    EXPECT_EQ(::recv(connection.get(), &byte, 1, 0), 1);
    EXPECT_EQ(byte, 'x');
    EXPECT_EQ(::recv(connection.get(), &byte, 1, 0), -1);
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_EQ(refused(), 0U);
}

TEST_F(Handover, WhoHasNotTheRanksCredentialsIsRefused) {
    auto another_rank = bootstrap.for_rank(1);
    another_rank.rank = 2;
    EXPECT_THAT(receive_handover(another_rank).error(), HasSubstr("refused"));
    auto another_run = bootstrap;
    another_run.secret = Secret::random();
    EXPECT_FALSE(receive_handover(another_run.for_rank(0)));
    auto no_rank = bootstrap.for_rank(0);
    no_rank.rank = 3;
    EXPECT_FALSE(receive_handover(no_rank));
    no_rank.rank = -1;
    EXPECT_FALSE(receive_handover(no_rank));
    EXPECT_FALSE(receive_handover(bootstrap.for_rank(0), {static_cast<HandoverWish::Kind>(3), 1, 1}));
    EXPECT_EQ(refused(), 5U);
    EXPECT_TRUE(asked.empty());
    EXPECT_TRUE(receive_handover(bootstrap.for_rank(0)));
}

TEST_F(Handover, WhatIsNoRequestIsRefused) {
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{95}, std::size_t{97}, std::size_t{9000}}) {
        const auto socket = connect();
        const std::vector<char> bytes(size, 'x');
        ASSERT_EQ(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(size));
        expect_refusal(socket);
    }
    EXPECT_EQ(refused(), 5U);
}

TEST_F(Handover, SilentConnectionsHoldNobodyUp) {
    std::vector<UniqueFd> silent;
    for (int count = 0; count < 100; ++count) silent.push_back(connect());
    // More than are accepted at a time; a rank in the backlog gets its turn when their time is up.
    EXPECT_TRUE(receive_handover(bootstrap.for_rank(0)));
    for (const auto& socket : silent) expect_refusal(socket);
    EXPECT_EQ(refused(), 100U);
    EXPECT_TRUE(receive_handover(bootstrap.for_rank(0)));
}

TEST_F(Handover, WhatWasSaidInTimeCountsHoweverLongOthersAreServed) {
    std::promise<void> begun;
    std::promise<void> go_on;
    serving = [&](int rank) {
        if (rank != 0) return;
        begun.set_value();
        go_on.get_future().wait();
    };
    const auto other = connect();
    EXPECT_EQ(refused(), 0U);  // once this is known, the other one has been accepted
    auto first = std::async(std::launch::async, [&] { return receive_handover(bootstrap.for_rank(0)); });
    begun.get_future().wait();
    HandoverRequest request;
    request.rank = 1;
    const auto password = PeerCredentials::derive(bootstrap.secret, PeerRole::rank, 1).password();
    password.copy(request.password.data(), request.password.size());
    ASSERT_EQ(::send(other.get(), &request, sizeof request, MSG_NOSIGNAL), static_cast<ssize_t>(sizeof request));
    std::this_thread::sleep_for(milliseconds(400));  // longer than the server's patience
    go_on.set_value();
    EXPECT_TRUE(first.get());
    char byte = 0;
    EXPECT_EQ(::recv(other.get(), &byte, 1, 0), 1);
    EXPECT_EQ(refused(), 0U);
}

// Where there are no descriptors left, the address sanitizer's check of vptrs has no pipe that it needs.
#ifndef __SANITIZE_ADDRESS__
TEST_F(Handover, WithoutDescriptorsWhoAsksIsToldAtOnce) {
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    rlimit former{};
    ::getrlimit(RLIMIT_NOFILE, &former);
    const rlimit few{64, former.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
    std::vector<UniqueFd> taken;
    do taken.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    while (taken.back().valid());
    connect(socket);
    expect_refusal(socket);
    taken.clear();
    ::setrlimit(RLIMIT_NOFILE, &former);
    EXPECT_TRUE(receive_handover(bootstrap.for_rank(1)));
    EXPECT_EQ(refused(), 1U);
}
#endif

TEST_F(Handover, NothingToHandOverIsARefusal) {
    answer.bytes.clear();
    EXPECT_THAT(receive_handover(bootstrap.for_rank(1)).error(), HasSubstr("refused"));
    EXPECT_EQ(refused(), 1U);
}

TEST(HandoverAlone, NobodyListens) {
    Bootstrap bootstrap{"run", 1, 1, 0, Secret::random(), {}, {}, "/nowhere", {}, {}};
    EXPECT_THAT(receive_handover(bootstrap).error(), HasSubstr("/nowhere/memory: connect"));
    bootstrap.run_directory = "/" + std::string(200, 'x');
    EXPECT_FALSE(receive_handover(bootstrap));
}

}  // namespace
}  // namespace rankexec
