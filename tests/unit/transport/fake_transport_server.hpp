// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rankexec/ipc/transport/transport_server.hpp"
#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec {

/// Without a network: hands over what the test says has come from rank 0, and notes what goes where.
class FakeTransportServer : public TransportServer {
public:
    void on_message(ChannelKind, OnMessage callback) override { deliver_ = std::move(callback); }
    void on_disconnect(ChannelKind /*kind*/, std::function<void()> /*callback*/) override {}
    void adopt(int /*rank*/, RankLinks /*links*/) override {}
    bool send(ChannelKind, const std::string& route, const std::vector<wire::Frame>& frames) override {
        sent.push_back(route + ": " + std::string(wire::name_of(wire::decode(frames)->message)));
        return true;
    }
    [[nodiscard]] const Bootstrap& bootstrap() const override { return bootstrap_; }
    [[nodiscard]] std::uint64_t refused_handshakes() const override { return 0; }

    /// Its body is replaced when `body` is not empty.
    void receive(const std::string& route, std::uint64_t sequence, const wire::Message& message,
                 std::vector<std::byte> body = {}) {
        wire::Envelope envelope;
        envelope.run_id = bootstrap_.run_id;
        envelope.incarnation = bootstrap_.incarnation;
        envelope.sequence = sequence;
        auto frames = wire::encode(envelope, message).value();
        if (!body.empty()) {
            const auto owner = std::make_shared<std::vector<std::byte>>(std::move(body));
            frames.at(1) = {*owner, owner};
        }
        PeerConnection from;
        from.route = route;
        deliver_(from, std::move(frames));
    }

    std::vector<std::string> sent;  ///< "route: name of the message"

private:
    Bootstrap bootstrap_{std::string(32, 'a'), 1, 1, -1, Secret::random(), {}, "", "", {}, {}};
    OnMessage deliver_;
};

}  // namespace rankexec
