// SPDX-License-Identifier: Apache-2.0
#include "trusted.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "rankexec/ipc/transport/transport_client.hpp"

namespace chaos {

namespace fs = std::filesystem;
using rankexec::Bootstrap;

std::vector<Bootstrap> take_credentials(int ranks) {
    std::vector<Bootstrap> found;
    for (int rank = 0; rank < ranks; ++rank) {
        std::ifstream file(fs::path(kCredentials) / std::to_string(rank));
        std::stringstream text;
        text << file.rdbuf();
        auto bootstrap = Bootstrap::from_text(text.str());
        if (!bootstrap) throw std::runtime_error("rank " + std::to_string(rank) + " left no " + bootstrap.error());
        found.push_back(std::move(*bootstrap));
    }
    fs::remove_all(kCredentials);
    return found;
}

TrustedGroup::TrustedGroup(rankexec::MultiProcessOptions options)
    : executor_(static_cast<rankexec::MultiProcessExecutor&>(
          engine_.add("group",
                      [&] {
                          options.group.environment.push_back(std::string("CHAOS_CREDENTIALS=") + kCredentials);
                          return std::make_unique<rankexec::MultiProcessExecutor>(options);
                      }()))),
      context_(engine_.new_context()),
      ranks_(options.group.world_size) {
    start();
}

void TrustedGroup::start() {
    if (::mkdir(kCredentials, 0700) != 0) throw std::runtime_error(std::string(kCredentials) + " is there already");
    if (const auto ready = executor_.initialise(context_); !ready) {
        fs::remove_all(kCredentials);
        throw std::runtime_error(ready.error().describe());
    }
    credentials_ = take_credentials(ranks_);
}

void TrustedGroup::start_again() {
    executor_.finalise();
    start();
}

rankexec::Shareable TrustedGroup::execute(const std::string& task, rankexec::Value::Map headers,
                                          milliseconds deadline) {
    rankexec::ExecuteOptions options;
    options.all_results = true;
    options.deadline = deadline;
    return executor_.execute(task, with_headers(std::move(headers)), context_, {}, options).reply;
}

std::string TrustedGroup::works() {
    const auto reply = execute("work");
    if (reply.code == rankexec::ReturnCode::ok) return {};
    return "the group does not work any more: " + (reply.failure ? reply.failure->describe() : "");
}

std::string endpoint_of(const Bootstrap& group, rankexec::ChannelKind kind, bool tcp) {
    return tcp ? group.tcp_endpoint(kind, "127.0.0.1") : group.ipc_endpoint(kind);
}

bool connect_and_say(const Bootstrap& credentials, rankexec::PeerRole role, int rank, bool tcp,
                     const std::vector<Said>& messages, const std::function<bool()>& done) {
    auto own = credentials;
    if (tcp) {
        own.host_identity = "another host";
        own.addresses = {"127.0.0.1"};
    }
    rankexec::EventLoop loop;
    bool connected = false;
    rankexec::TransportClient::Callbacks callbacks;
    callbacks.on_connected = [&](rankexec::ChannelKind) { connected = true; };
    const auto kind = rankexec::ChannelKind::execution;
    auto client = rankexec::TransportClient::connect(loop, own, role, rank, {kind}, std::move(callbacks));
    if (!client) throw std::runtime_error(client.error());
    for (const auto& said : messages)
        (*client)->send(kind, rankexec::wire::encode(said.envelope, said.message).value());
    const auto deadline = Clock::now() + milliseconds(10'000);
    while (!done() && Clock::now() < deadline) loop.run_once(milliseconds(5));
    (*client)->close(milliseconds(0));
    return connected;
}

}  // namespace chaos
