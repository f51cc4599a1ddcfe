// SPDX-License-Identifier: Apache-2.0
//
// hub_peer hub ENDPOINT GONE_AFTER NAME...
// hub_peer client ENDPOINT GONE_AFTER NAME [TO COUNT]
//
// One end of a hub in a process of its own, for tests that kill it. Keys follow from names; the hub's is "controller".
// Every line is written at once. Both: `up ENDPOINT`, `connected NAME`, `lost NAME`; they take the topic `count`, whose
// requests they answer with the number that is their body, after `handled NUMBER`; and `hold`, which they never answer,
// after `held NUMBER`. With TO and COUNT a client asks for the numbers from 1 on, one after another: `reply NUMBER`, or
// `failed NUMBER WHY`; then `done`. They end when they are killed.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "rankexec/ipc/hub/hub.hpp"
#include "unit/hub/keys_of.hpp"

namespace {

using namespace rankexec;
using std::chrono::milliseconds;

void say(const std::string& line) {
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    std::fputs((line + "\n").c_str(), stdout);
    std::fflush(stdout);
}

void take(hub::HubEnd& end) {
    end.handle("count", [](hub::Request&& request, hub::Answer answer) {
        say("handled " + request.content.body.text_or(""));
        answer(std::move(request.content));
    });
    const auto held = std::make_shared<std::vector<hub::Answer>>();
    end.handle("hold", [held](hub::Request&& request, hub::Answer answer) {
        held->push_back(std::move(answer));
        say("held " + request.content.body.text_or(""));
    });
}

int fail(const Failure& failure) {
    say("cannot: " + failure.message);
    return 1;
}

[[noreturn]] void live() {
    while (true) ::pause();
}

int run_hub(const std::string& endpoint, milliseconds gone_after, const std::vector<std::string>& names) {
    hub::HubServer::Options options;
    options.listen = {endpoint};
    options.keys = test::keys_of(hub::kHubName);
    options.gone_after = gone_after;
    options.heartbeat_interval = gone_after / 4;
    options.on_connected = [](const std::string& peer) { say("connected " + peer); };
    options.on_lost = [](const std::string& peer, const std::string&) { say("lost " + peer); };
    auto server = hub::HubServer::make(std::move(options));
    if (!server) return fail(server.error());
    take(**server);
    for (const auto& name : names) (*server)->allow(name, test::keys_of(name).public_key);
    (*server)->start();
    say("up " + (*server)->endpoints().front());
    live();
}

int run_client(const std::string& endpoint, milliseconds gone_after, const std::string& name, const std::string& to,
               int count) {
    hub::HubClient::Options options;
    options.connect = endpoint;
    options.hub_key = test::keys_of(hub::kHubName).public_key;
    options.keys = test::keys_of(name);
    options.gone_after = gone_after;
    options.heartbeat_interval = gone_after / 4;
    options.on_connected = [name] { say("connected " + name); };
    options.on_lost = [name](const std::string&) { say("lost " + name); };
    auto client = hub::HubClient::make(std::move(options));
    if (!client) return fail(client.error());
    take(**client);
    (*client)->start();
    say("up " + endpoint);
    for (int number = 1; number <= count; ++number) {
        Shareable content;
        content.body = std::to_string(number);
        const auto reply = (*client)->ask(to, "count", std::move(content), std::chrono::minutes(10));
        say(reply ? "reply " + reply->body.text_or("")
                  : "failed " + std::to_string(number) + " " + reply.error().message);
    }
    if (count > 0) say("done");
    live();
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (arguments.size() < 4) return 2;
    const milliseconds gone_after(std::atoi(arguments[2].c_str()));
    if (arguments[0] == "hub") return run_hub(arguments[1], gone_after, {arguments.begin() + 3, arguments.end()});
    const bool asks = arguments.size() > 5;
    return run_client(arguments[1], gone_after, arguments[3], asks ? arguments[4] : std::string(),
                      asks ? std::atoi(arguments[5].c_str()) : 0);
}
