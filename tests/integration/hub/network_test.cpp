// SPDX-License-Identifier: Apache-2.0
// A hub here, a peer of it on another host, and the network between them is cut. Runs within
// tests/support/netns/with_two_hosts.
#include <gmock/gmock.h>

#include <algorithm>
#include <future>
#include <thread>

#include "support/netns/two_hosts.hpp"
#include "unit/hub/hub_ends.hpp"
#include "unit/hub/keys_of.hpp"

namespace rankexec::test {
namespace {

constexpr std::chrono::milliseconds kGoneAfter{600};

class HubNetwork : public Hub {
protected:
    void SetUp() override {
        hub_keys = keys_of(hub::kHubName);
        auto options = server_options("tcp://" + variable("TWO_HOSTS_FIRST") + ":7200");
        options.gone_after = kGoneAfter;
        make_server(std::move(options));
        server->handle("count", [this](hub::Request&& request, const hub::Answer& answer) {
            handled.add(request.content.body.text_or(""));
            answer(std::move(request.content));
        });
        server->allow("site/far", keys_of("site/far").public_key);
        server->start();
    }
    std::unique_ptr<Child> far(int count) {
        std::vector<std::string> arguments{RANKEXEC_HUB_PEER, "client", endpoint, std::to_string(kGoneAfter.count()),
                                           "site/far"};
        if (count > 0) arguments.insert(arguments.end(), {hub::kHubName, std::to_string(count)});
        return on_second_host(arguments);
    }
    Happenings handled;
};

TEST_F(HubNetwork, SilenceIsKnownOnBothSidesAndThePeerComesBack) {
    const auto peer = far(0);
    seen.wait("connected site/far");
    // Only one that knows of the connection can tell that it is lost.
    EXPECT_EQ(peer->line_with("connected"), "connected site/far");
    {
        const Cut cut;
        seen.wait("lost site/far");
        EXPECT_FALSE(server->connected("site/far"));
        EXPECT_EQ(peer->line_with("lost"), "lost site/far");
    }
    seen.wait("connected site/far", 2);
    EXPECT_EQ(text_of(server->ask("site/far", "count", text("1"), kLong)), "1");
}

TEST_F(HubNetwork, ShortAndLongCutsLoseNoRequestAndDoubleNone) {
    constexpr int kRequests = 2000;
    const auto peer = far(kRequests);
    seen.wait("connected site/far");
    for (const int length : {20, 100, 300, 900, 1500}) {
        // Some more, wherever it is then.
        const auto all = handled.all().size();
        handled.wait_for_all(std::min<std::size_t>(all + 20, kRequests));
        const Cut cut;
        std::this_thread::sleep_for(Milliseconds(length));
    }
    EXPECT_EQ(peer->line_with("done"), "done");
    EXPECT_EQ(handled.all().size(), std::size_t{kRequests}) << "each once";
}

TEST_F(HubNetwork, WhatTheHubAsksDuringACutIsAnsweredAfterIt) {
    const auto peer = far(0);
    seen.wait("connected site/far");
    std::promise<std::string> reply;
    {
        const Cut cut;
        server->request("site/far", "count", text("7"), kLong,
                        [&](hub::Reply&& came) { reply.set_value(text_of(came)); });
        seen.wait("lost site/far");
    }
    EXPECT_EQ(reply.get_future().get(), "7");
    EXPECT_EQ(peer->line_with("handled"), "handled 7");
}

}  // namespace
}  // namespace rankexec::test
