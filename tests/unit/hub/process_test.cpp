// SPDX-License-Identifier: Apache-2.0
// Real processes at both ends, which are killed.
#include <gmock/gmock.h>

#include <csignal>
#include <future>

#include "unit/exchange/child.hpp"
#include "unit/hub/hub_ends.hpp"
#include "unit/hub/keys_of.hpp"

namespace rankexec::test {
namespace {

using ::testing::StartsWith;

class HubProcess : public Hub {
protected:
    static std::unique_ptr<Child> peer(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), RANKEXEC_HUB_PEER);
        return std::make_unique<Child>(std::move(arguments));
    }
    std::unique_ptr<Child> client_process(const std::string& name, const std::string& to = {}, int count = 0) {
        std::vector<std::string> arguments{"client", endpoint, "5000", name};
        if (count > 0) arguments.insert(arguments.end(), {to, std::to_string(count)});
        return peer(std::move(arguments));
    }
    std::unique_ptr<Child> hub_process(const std::vector<std::string>& names) {
        std::vector<std::string> arguments{"hub", endpoint.empty() ? "tcp://127.0.0.1:*" : endpoint, "5000"};
        arguments.insert(arguments.end(), names.begin(), names.end());
        auto process = peer(std::move(arguments));
        const auto up = process->line_with("up ");
        EXPECT_THAT(up, StartsWith("up tcp://"));
        endpoint = up.substr(3);
        return process;
    }
    static void kill(Child& child) {
        child.signal(SIGKILL);
        EXPECT_EQ(child.wait(), -SIGKILL);
    }
};

TEST_F(HubProcess, APeerThatIsKilledIsLostAndItsNextProcessGetsWhatWasUnderWay) {
    hub_keys = keys_of(hub::kHubName);
    start_server();
    server->allow("site/a", keys_of("site/a").public_key);
    auto first = client_process("site/a");
    seen.wait("connected site/a");
    server->request("site/a", "hold", text("1"), kLong, [](hub::Reply&&) {});
    EXPECT_EQ(first->line_with("held"), "held 1");
    kill(*first);
    seen.wait("lost site/a");
    EXPECT_FALSE(server->connected("site/a"));
    auto second = client_process("site/a");
    EXPECT_EQ(second->line_with("held"), "held 1") << "the same request";
    EXPECT_EQ(text_of(server->ask("site/a", "count", text("2"), kLong)), "2");
    kill(*second);
    seen.wait("lost site/a", 2);
    const auto gone = server->ask("site/a", "count", text("3"), kLong);
    ASSERT_FALSE(gone.has_value());
    EXPECT_EQ(gone.error().code, ReturnCode::not_ready);
}

TEST_F(HubProcess, PeersComeBackToAHubThatWasKilled) {
    hub_keys = keys_of(hub::kHubName);
    const std::vector<std::string> names{"run/j/a", "run/j/b"};
    auto process = hub_process(names);
    const auto b = client_process("run/j/b");
    EXPECT_EQ(b->line_with("connected"), "connected run/j/b");
    auto options = client_options(keys_of("run/j/a"));
    options.on_connected = [this] { seen.add("connected"); };
    options.on_lost = [this](const std::string&) { seen.add("lost"); };
    const auto a = make_client(options);
    a->start();
    seen.wait("connected");
    EXPECT_EQ(text_of(a->ask("run/j/b", "count", text("1"), kLong)), "1");
    kill(*process);
    seen.wait("lost");
    EXPECT_EQ(b->line_with("lost"), "lost run/j/b");
    std::promise<std::string> reply;
    a->request(hub::kHubName, "count", text("2"), kLong, [&](hub::Reply&& came) { reply.set_value(text_of(came)); });
    process = hub_process(names);
    EXPECT_EQ(reply.get_future().get(), "2");
    EXPECT_EQ(b->line_with("connected"), "connected run/j/b");
    EXPECT_EQ(text_of(a->ask("run/j/b", "count", text("3"), kLong)), "3");
}

// A hub that is killed again and again, and two that want something of it all the time.
TEST_F(HubProcess, ManyKillsOfTheHubLoseNothing) {
    constexpr int kRequests = 300;
    constexpr int kKills = 5;
    const std::vector<std::string> names{"site/a", "site/b"};
    auto process = hub_process(names);
    const auto a = client_process("site/a", hub::kHubName, kRequests);
    const auto b = client_process("site/b", hub::kHubName, kRequests);
    for (int kill_count = 0; kill_count < kKills; ++kill_count) {
        // In the middle of something, wherever that is.
        EXPECT_NE(process->line_with("handled"), "");
        kill(*process);
        process = hub_process(names);
    }
    for (const auto* one : {&a, &b}) {
        for (int number = 1; number <= kRequests; ++number) {
            std::string line;
            do line = (*one)->line();
            while (line.starts_with("connected") || line.starts_with("lost") || line.starts_with("up"));
            ASSERT_EQ(line, "reply " + std::to_string(number));
        }
        EXPECT_EQ((*one)->line_with("done"), "done");
    }
}

}  // namespace
}  // namespace rankexec::test
