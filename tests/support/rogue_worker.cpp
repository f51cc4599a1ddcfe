// SPDX-License-Identifier: Apache-2.0
// A rank with this run's credentials that does not keep to the protocol, in the way its argument says. "memory" as the
// second one: it comes over the connections that the parent hands over with its shared memory, else over ZeroMQ.
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "own_bootstrap.hpp"
#include "rankexec/ipc/transport/memory_server.hpp"
#include "rankexec/ipc/transport/transport_client.hpp"
#include "rankexec/ipc/wire/codec.hpp"

using namespace rankexec;

int main(int argc, char** argv) {
    const std::string mode = argc > 1 ? argv[1] : "";
    const auto bootstrap = test::own_bootstrap();
    const auto rank = bootstrap.rank;
    EventLoop loop;
    const std::vector channels{ChannelKind::execution, ChannelKind::handler, ChannelKind::relay};
    std::unique_ptr<TransportClient> client;
    int execution = -1;
    if (argc > 2 && std::string(argv[2]) == "memory") {
        auto received = receive_handover(bootstrap);
        auto links = received ? take_links(*received) : tl::unexpected(received.error());
        if (!links) return 1;
        execution = links->front().get();
        client = TransportClient::over(loop, std::move(*links), {});
        if (receive_handover(bootstrap)) return 4;  // once is enough
    } else {
        auto connected = TransportClient::connect(loop, bootstrap, PeerRole::rank, rank, channels, {});
        if (!connected) return 1;
        client = std::move(*connected);
    }
    std::array<std::uint64_t, 4> sequence{};
    const auto send = [&](ChannelKind kind, const wire::Message& message, const std::string& run_id) {
        wire::Envelope envelope;
        envelope.run_id = run_id;
        envelope.incarnation = bootstrap.incarnation;
        envelope.rank = rank;
        envelope.sequence = ++sequence.at(static_cast<std::size_t>(kind));
        client->send(kind, *wire::encode(envelope, message));
    };
    wire::Hello hello;
    hello.pid = ::getpid();
    hello.world_size = bootstrap.world_size;
    const auto greet = [&] { send(ChannelKind::execution, hello, bootstrap.run_id); };

    if (mode == "silent") {
        // Connected, authenticated, and never a word.
    } else if (mode == "hello_twice") {
        greet();
        greet();
    } else if (mode == "wrong_channel") {
        send(ChannelKind::execution, wire::Attach{}, bootstrap.run_id);
    } else if (mode == "garbage") {
        static constexpr std::array kGarbage{std::byte{0xc1}, std::byte{0xff}};
        client->send(ChannelKind::execution, {{kGarbage, nullptr}, {kGarbage, nullptr}});
    } else if (mode == "no_stream") {
        static constexpr std::array<std::byte, 8> kGarbage{};
        if (::write(execution, kGarbage.data(), kGarbage.size()) < 0) return 1;
    } else if (mode == "cut") {
        greet();
        const std::byte half{1};
        if (::write(execution, &half, 1) < 0) return 1;
        client.reset();
    } else if (mode == "half_a_hello") {
        greet();
        client.reset();  // and so never attached
    } else if (mode == "dies_unheard") {
        return 3;
    } else if (mode == "dies_after_hello") {
        greet();
        return 3;
    } else if (mode == "hello_elsewhere") {
        // The parent drops what comes on other connections of a rank that has said hello.
        greet();
        const auto former = std::exchange(client, nullptr);
        client = TransportClient::connect(loop, bootstrap, PeerRole::rank, rank, channels, {}).value();
        sequence = {};
        greet();
        for (;;) loop.run_once(std::chrono::milliseconds(-1));
    } else if (mode == "wrong_world") {
        hello.world_size += 1;
        greet();
    } else if (mode == "foreign_run") {
        send(ChannelKind::execution, hello, std::string(32, '0'));
    }
    for (;;) loop.run_once(std::chrono::milliseconds(-1));
}
