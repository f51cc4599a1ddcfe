// SPDX-License-Identifier: Apache-2.0
// Who gets in, who does not, and who comes back.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <future>

#include "rankexec/core/system/unique_fd.hpp"
#include "unit/cli/temporary_folder.hpp"
#include "unit/hub/hub_ends.hpp"

namespace rankexec::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Listens, and leaves its file behind, as a process does that was killed.
class UnixListener {
public:
    explicit UnixListener(const std::filesystem::path& path)
        : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.string().copy(address.sun_path, sizeof(address.sun_path) - 1);
        EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
        EXPECT_EQ(::listen(socket_.get(), 1), 0);
    }

private:
    UniqueFd socket_;
};

class HubConnection : public Hub {
protected:
    /// What it was told of its connection.
    [[nodiscard]] hub::HubClient::Options told(const hub::KeyPair& keys, Happenings& heard) const {
        auto options = client_options(keys);
        options.on_connected = [&heard] { heard.add("connected"); };
        options.on_lost = [&heard](const std::string&) { heard.add("lost"); };
        options.on_refused = [&heard](const std::string& why) {
            heard.add(why);
            heard.add("refused");
        };
        return options;
    }
    /// The same port again.
    void restart_server() {
        server.reset();
        make_server(server_options(endpoint));
    }
    static bool said(const Happenings& heard, const std::string& part) {
        const auto all = heard.all();
        return std::ranges::any_of(all, [&](const auto& one) { return one.find(part) != std::string::npos; });
    }
};

TEST_F(HubConnection, AKeyThatTheHubDoesNotKnowIsRefusedAndToldSo) {
    start_server();
    Happenings heard;
    const auto keys = new_keys();
    const auto client = make_client(told(keys, heard));
    client->start();
    EXPECT_FALSE(client->wait_connected(kLong));
    heard.wait("refused");
    EXPECT_TRUE(said(heard, "does not know this key"));
    EXPECT_GT(server->refused(), 0U);
    EXPECT_THAT(server->peers(), ElementsAre());
    // And comes in as soon as it is known.
    server->allow("site/a", keys.public_key);
    heard.wait("connected");
    EXPECT_EQ(text_of(client->ask(hub::kHubName, "who", {}, kLong)), "site/a");
}

TEST_F(HubConnection, ThePlaceOfAHubThatListensIsNotTakenAway) {
    const cli::TemporaryFolder folder;
    const auto place = "ipc://" + (folder.path() / "hub").string();
    make_server(server_options(place));
    server->start();
    const auto second = hub::HubServer::make(server_options(place));
    ASSERT_FALSE(second.has_value());
    EXPECT_THAT(second.error().message, HasSubstr("another process listens there"));
    EXPECT_EQ(text_of(connected_client("site/a")->ask(hub::kHubName, "who", {}, kLong)), "site/a");
    // What a hub that was killed has left is in nobody's way.
    server.reset();
    { const UnixListener abandoned(folder.path() / "hub"); }
    make_server(server_options(place));
}

TEST_F(HubConnection, APortThatIsNoneIsRefused) {
    for (const auto* endpoint_of : {"tcp://127.0.0.1:65536", "tcp://127.0.0.1:99999999999999999999"}) {
        const auto made = hub::HubServer::make(server_options(endpoint_of));
        ASSERT_FALSE(made.has_value()) << endpoint_of;
        EXPECT_THAT(made.error().message, HasSubstr("65535"));
    }
}

TEST_F(HubConnection, AHubWithAnotherKeyIsRefused) {
    start_server();
    Happenings heard;
    const auto keys = new_keys();
    server->allow("site/a", keys.public_key);
    auto options = told(keys, heard);
    options.hub_key = new_keys().public_key;
    const auto client = make_client(options);
    client->start();
    EXPECT_FALSE(client->wait_connected(kLong));
    heard.wait("refused");
    EXPECT_EQ(heard.count("connected"), 0U);
    EXPECT_THAT(server->peers(), ElementsAre());
}

TEST_F(HubConnection, AnotherKeyForThePeerEndsTheFirst) {
    start_server();
    Happenings first_heard;
    const auto first_keys = new_keys();
    server->allow("site/a", first_keys.public_key);
    const auto first = make_client(told(first_keys, first_heard));
    first->start();
    first_heard.wait("connected");
    const auto second_keys = new_keys();
    server->allow("site/a", second_keys.public_key);
    first_heard.wait("lost");
    first_heard.wait("refused");
    Happenings second_heard;
    const auto second = make_client(told(second_keys, second_heard));
    second->start();
    second_heard.wait("connected");
    EXPECT_EQ(text_of(second->ask(hub::kHubName, "who", {}, kLong)), "site/a");
    EXPECT_FALSE(first->connected());
}

TEST_F(HubConnection, AForbiddenPeerIsNotListenedToAnyMore) {
    start_server();
    Happenings heard;
    const auto keys = new_keys();
    server->allow("site/a", keys.public_key);
    const auto client = make_client(told(keys, heard));
    client->start();
    heard.wait("connected");
    seen.wait("connected site/a");
    server->forbid("site/a");
    seen.wait("lost site/a");
    heard.wait("lost");
    heard.wait("refused");
    EXPECT_FALSE(server->connected("site/a"));
    EXPECT_FALSE(client->ask(hub::kHubName, "who", {}, Milliseconds(200)).has_value());
    const auto reply = server->ask("site/a", "who", {}, kLong);
    ASSERT_FALSE(reply.has_value());
    EXPECT_EQ(reply.error().code, ReturnCode::not_ready);
}

TEST_F(HubConnection, AClientComesBackToAHubThatWasRestartedAndItsRequestGoesOn) {
    start_server();
    Happenings heard;
    const auto keys = new_keys();
    server->allow("site/a", keys.public_key);
    const auto client = make_client(told(keys, heard));
    client->start();
    heard.wait("connected");
    restart_server();
    heard.wait("lost");
    // Asked while there is no hub.
    std::promise<std::string> answer;
    client->request(hub::kHubName, "echo", text("still here"), kLong,
                    [&](hub::Reply&& reply) { answer.set_value(text_of(reply)); });
    server->allow("site/a", keys.public_key);
    server->start();
    EXPECT_EQ(answer.get_future().get(), "still here");
    heard.wait("connected", 2);
    EXPECT_EQ(heard.count("lost"), 1U);
}

TEST_F(HubConnection, AHubThatIsNotThereIsAwaited) {
    start_server();
    server.reset();
    const auto keys = new_keys();
    Happenings heard;
    const auto client = make_client(told(keys, heard));
    client->start();
    EXPECT_FALSE(client->wait_connected(Milliseconds(100)));
    const auto reply = client->ask(hub::kHubName, "echo", {}, Milliseconds(100));
    ASSERT_FALSE(reply.has_value());
    EXPECT_EQ(reply.error().code, ReturnCode::not_ready);
    EXPECT_THAT(reply.error().message, HasSubstr("was not reached within 100 ms"));
    make_server(server_options(endpoint));
    server->allow("site/a", keys.public_key);
    server->start();
    EXPECT_TRUE(client->wait_connected(kLong));
}

TEST_F(HubConnection, ASecondProcessOfASiteWaitsUntilTheFirstHasGone) {
    start_server();
    const auto keys = new_keys();
    server->allow("site/a", keys.public_key);
    Happenings first_heard;
    auto first = make_client(told(keys, first_heard));
    first->start();
    first_heard.wait("connected");
    Happenings second_heard;
    const auto second = make_client(told(keys, second_heard));
    second->start();
    second_heard.wait("refused");
    EXPECT_TRUE(said(second_heard, "another process with the same key"));
    EXPECT_FALSE(second->connected());
    EXPECT_EQ(text_of(first->ask(hub::kHubName, "who", {}, kLong)), "site/a");
    first.reset();
    second_heard.wait("connected");
    EXPECT_EQ(text_of(second->ask(hub::kHubName, "who", {}, kLong)), "site/a");
    seen.wait("connected site/a", 2);
    EXPECT_EQ(seen.count("lost site/a"), 1U);
}

TEST_F(HubConnection, AUserMayRunSeveralCommandsAtATime) {
    start_server();
    const auto keys = new_keys();
    server->allow("user/u", keys.public_key);
    const auto first = make_client(client_options(keys));
    const auto second = make_client(client_options(keys));
    first->start();
    second->start();
    ASSERT_TRUE(first->wait_connected(kLong));
    ASSERT_TRUE(second->wait_connected(kLong));
    EXPECT_EQ(text_of(first->ask(hub::kHubName, "echo", text("one"), kLong)), "one");
    EXPECT_EQ(text_of(second->ask(hub::kHubName, "echo", text("two"), kLong)), "two");
}

TEST_F(HubConnection, OverALocalSocketToo) {
    const auto path = ::testing::TempDir() + "rankexec-hub-" + std::to_string(::getpid());
    make_server(server_options("ipc://" + path));
    server->start();
    const auto client = connected_client("site/a");
    EXPECT_EQ(text_of(client->ask(hub::kHubName, "who", {}, kLong)), "site/a");
    Happenings heard;
    const auto stranger = make_client(told(new_keys(), heard));
    stranger->start();
    heard.wait("refused");
    EXPECT_FALSE(stranger->connected());
}

TEST_F(HubConnection, AnEndpointThatIsTakenIsNamed) {
    start_server();
    auto second = hub::HubServer::make(server_options(endpoint));
    ASSERT_FALSE(second.has_value());
    EXPECT_THAT(second.error().message, HasSubstr(endpoint));
    EXPECT_FALSE(hub::HubServer::make(server_options("inproc://x")).has_value());
    auto wrong = client_options(new_keys());
    wrong.connect = "nonsense";
    const auto client = hub::HubClient::make(wrong);
    ASSERT_FALSE(client.has_value());
    EXPECT_THAT(client.error().message, HasSubstr("write tcp://ADDRESS:PORT"));
}

TEST_F(HubConnection, ClosingFailsWhatIsUnderWay) {
    start_server();
    auto client = connected_client("site/a");
    std::promise<hub::Reply> reply;
    client->request("controller", "echo", {}, kLong, [](hub::Reply&&) {});
    server->close();
    client->request("controller", "echo", {}, kLong, [&](hub::Reply&& came) { reply.set_value(std::move(came)); });
    client->close();
    const auto failed = reply.get_future().get();
    ASSERT_FALSE(failed.has_value());
    EXPECT_EQ(failed.error().code, ReturnCode::task_aborted);
    const auto after = client->ask("controller", "echo", {}, kLong);
    ASSERT_FALSE(after.has_value());
    EXPECT_EQ(after.error().code, ReturnCode::task_aborted);
    client->close();
}

}  // namespace
}  // namespace rankexec::test
