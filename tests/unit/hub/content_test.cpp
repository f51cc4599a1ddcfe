// SPDX-License-Identifier: Apache-2.0
// Messages of every size.
#include <gmock/gmock.h>

#include <numeric>

#include "rankexec/ipc/hub/hub_messages.hpp"
#include "unit/hub/hub_ends.hpp"

namespace rankexec::test {
namespace {

using ::testing::HasSubstr;

Shareable with_tensor(std::size_t bytes) {
    Shareable content;
    content.headers["samples"] = 7;
    content.body["name"] = "model";
    std::vector<std::uint8_t> numbers(bytes);
    std::iota(numbers.begin(), numbers.end(), std::uint8_t{0});
    content.tensors.emplace("weights", Tensor::copy_of<std::uint8_t>(numbers, {static_cast<std::int64_t>(bytes)}));
    content.tensors.emplace("scalar", Tensor::copy_of<double>(std::vector<double>{0.5}, {1}));
    return content;
}

class HubContent : public Hub, public ::testing::WithParamInterface<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(, HubContent,
                         ::testing::Values(0, 1, 1000, hub::kPartBytes - 1, hub::kPartBytes, hub::kPartBytes + 1,
                                           2 * hub::kPartBytes, 20U << 20U));

TEST_P(HubContent, ComesBackAsItWasByWayOfTheHub) {
    start_server();
    const auto keys = new_keys();
    server->allow("run/j/b", keys.public_key);
    const auto other = make_client(client_options(keys));
    other->handle("echo", [](hub::Request&& request, hub::Answer answer) { answer(std::move(request.content)); });
    other->start();
    ASSERT_TRUE(other->wait_connected(kLong));
    const auto client = connected_client("run/j/a");
    const auto content = with_tensor(GetParam());
    for (const auto* to : {hub::kHubName, "run/j/b"}) {
        const auto reply = client->ask(to, "echo", content, kLong);
        ASSERT_TRUE(reply.has_value()) << reply.error().message;
        EXPECT_TRUE(*reply == content) << to;
    }
}

TEST_F(Hub, ContentAboveTheLimitIsRefusedWithTheLimit) {
    auto options = server_options();
    options.limits.message_bytes = 100'000;
    make_server(std::move(options));
    server->start();
    const auto keys = new_keys();
    server->allow("site/a", keys.public_key);
    const auto client = make_client(client_options(keys));
    client->start();
    const auto reply = client->ask(hub::kHubName, "echo", with_tensor(200'000), kLong);
    ASSERT_FALSE(reply.has_value());
    EXPECT_EQ(reply.error().code, ReturnCode::bad_request_data);
    EXPECT_EQ(text_of(client->ask(hub::kHubName, "who", {}, kLong)), "site/a") << "and the connection goes on";

    auto limited = client_options(keys);
    limited.limits.message_bytes = 1000;
    const auto sender = make_client(limited);
    const auto refused = [&] {
        sender->start();
        return sender->ask(hub::kHubName, "echo", with_tensor(2000), kLong);
    }();
    ASSERT_FALSE(refused.has_value());
    EXPECT_THAT(refused.error().message, HasSubstr("limit"));
}

}  // namespace
}  // namespace rankexec::test
