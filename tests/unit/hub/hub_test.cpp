// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "unit/hub/hub_ends.hpp"

namespace rankexec::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(Hub, AnswersRequestsAndKnowsWhoAsks) {
    start_server();
    const auto client = connected_client("site/a");
    EXPECT_EQ(client->name(), "site/a");
    EXPECT_EQ(text_of(client->ask(hub::kHubName, "echo", text("hello"), kLong)), "hello");
    EXPECT_EQ(text_of(client->ask(hub::kHubName, "who", {}, kLong)), "site/a");
    seen.wait("connected site/a");
    EXPECT_THAT(server->peers(), ElementsAre("site/a"));
    EXPECT_TRUE(server->connected("site/a"));
    EXPECT_EQ(server->refused(), 0U);
}

TEST_F(Hub, AsksItsPeers) {
    start_server();
    const auto keys = new_keys();
    server->allow("site/a", keys.public_key);
    const auto client = make_client(client_options(keys));
    client->handle("who", [](hub::Request&& request, hub::Answer answer) { answer(text("asked by " + request.from)); });
    client->start();
    seen.wait("connected site/a");
    EXPECT_EQ(text_of(server->ask("site/a", "who", {}, kLong)), "asked by controller");
}

TEST_F(Hub, RunsOfOneJobSpeakToEachOther) {
    start_server();
    const auto keys = new_keys();
    server->allow("run/j1/site-b", keys.public_key);
    const auto other = make_client(client_options(keys));
    other->handle("who", [](hub::Request&& request, hub::Answer answer) { answer(text("asked by " + request.from)); });
    other->start();
    ASSERT_TRUE(other->wait_connected(kLong));
    const auto first = connected_client("run/j1/site-a");
    EXPECT_EQ(text_of(first->ask("run/j1/site-b", "who", {}, kLong)), "asked by run/j1/site-a");

    for (const auto* name : {"run/j2/site-a", "site/a", "user/a"}) {
        const auto stranger = connected_client(name);
        const auto reply = stranger->ask("run/j1/site-b", "who", {}, kLong);
        ASSERT_FALSE(reply.has_value());
        EXPECT_EQ(reply.error().code, ReturnCode::bad_request_data);
        EXPECT_THAT(reply.error().message, HasSubstr("may not speak to run/j1/site-b"));
    }
}

TEST_F(Hub, SaysWhyThereIsNoReply) {
    start_server();
    server->handle("never", [](hub::Request&&, const hub::Answer&) {});
    const auto client = connected_client("run/j1/a");
    const auto unknown = client->ask(hub::kHubName, "nothing", {}, kLong);
    ASSERT_FALSE(unknown.has_value());
    EXPECT_EQ(unknown.error().code, ReturnCode::bad_request_data);
    EXPECT_THAT(unknown.error().message, HasSubstr("nobody takes the topic nothing"));

    const auto gone = client->ask("run/j1/b", "who", {}, kLong);
    ASSERT_FALSE(gone.has_value());
    EXPECT_EQ(gone.error().code, ReturnCode::not_ready);

    const auto nobody = server->ask("site/x", "who", {}, kLong);
    ASSERT_FALSE(nobody.has_value());
    EXPECT_EQ(nobody.error().code, ReturnCode::not_ready);
    EXPECT_THAT(nobody.error().message, HasSubstr("site/x is not connected"));

    const auto bad = client->ask(hub::kHubName, "not a topic", {}, kLong);
    ASSERT_FALSE(bad.has_value());
    EXPECT_EQ(bad.error().code, ReturnCode::bad_request_data);
}

}  // namespace
}  // namespace rankexec::test
