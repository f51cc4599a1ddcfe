// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <zmq.hpp>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/transport/credentials.hpp"
#include "rankexec/ipc/transport/zmq_socket.hpp"

namespace rankexec {

/// Who ZeroMQ's handshake says a connection is.
struct AuthenticatedPeer {
    PeerRole role = PeerRole::rank;
    int rank = 0;
    bool curve = false;  ///< else PLAIN
    bool tcp = false;    ///< else ipc

    [[nodiscard]] std::string to_user_id() const;
    [[nodiscard]] static std::optional<AuthenticatedPeer> from_user_id(std::string_view text);
};

/// The ZAP handler of one ZeroMQ context (RFC 27/ZAP): allows exactly the credentials that derive
/// from this run's secret, PLAIN on ipc and CURVE on tcp. Must exist before any other socket of the
/// context is bound. Lives on one EventLoop.
///
/// `curve`: whether CURVE clients are to be known at all. The ZAP domain of a socket names the role it serves: "rank"
/// or "shim".
class Authenticator {
public:
    Authenticator(EventLoop& loop, zmq::context_t& context, const Secret& run_secret, int world_size, bool curve);

    /// Handshakes that were refused so far.
    [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

private:
    void answer(std::vector<zmq::message_t>&& request);
    [[nodiscard]] std::optional<AuthenticatedPeer> check(const std::vector<zmq::message_t>& request) const;

    Secret run_secret_;
    int world_size_;
    std::unordered_map<std::string, int> keys_[2];  ///< by role: CURVE public key to rank
    zmq::socket_t socket_;
    std::uint64_t refused_ = 0;
    std::unique_ptr<SocketWatch> watch_;
};

}  // namespace rankexec
