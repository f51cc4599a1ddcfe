// SPDX-License-Identifier: Apache-2.0
// A rank with this run's credentials that does not keep to the protocol, in the way its argument says.
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <string>

#include "own_bootstrap.hpp"
#include "rankexec/ipc/transport/transport_client.hpp"
#include "rankexec/ipc/wire/codec.hpp"

using namespace rankexec;

int main(int argc, char** argv) {
    const std::string mode = argc > 1 ? argv[1] : "";
    const auto bootstrap = test::own_bootstrap();
    const auto rank = bootstrap.rank;
    EventLoop loop;
    auto client = TransportClient::connect(loop, bootstrap, PeerRole::rank, rank,
                                           {ChannelKind::execution, ChannelKind::handler, ChannelKind::relay}, {});
    if (!client) return 1;
    std::array<std::uint64_t, 4> sequence{};
    const auto send = [&](ChannelKind kind, const wire::Message& message, const std::string& run_id) {
        wire::Envelope envelope;
        envelope.run_id = run_id;
        envelope.incarnation = bootstrap.incarnation;
        envelope.rank = rank;
        envelope.sequence = ++sequence.at(static_cast<std::size_t>(kind));
        (*client)->send(kind, *wire::encode(envelope, message));
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
        (*client)->send(ChannelKind::execution, {{kGarbage, nullptr}, {kGarbage, nullptr}});
    } else if (mode == "wrong_world") {
        hello.world_size += 1;
        greet();
    } else if (mode == "foreign_run") {
        send(ChannelKind::execution, hello, std::string(32, '0'));
    }
    for (;;) loop.run_once(std::chrono::milliseconds(-1));
}
