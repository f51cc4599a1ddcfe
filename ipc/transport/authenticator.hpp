// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <zmq.hpp>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/transport/credentials.hpp"
#include "rankexec/ipc/transport/zap_handler.hpp"

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

/// Lets into one ZeroMQ context exactly the credentials that derive from this run's secret, PLAIN on ipc and CURVE on
/// tcp. Must exist before any other socket of the context is bound. Lives on one EventLoop.
///
/// `curve`: whether CURVE clients are to be known at all. The ZAP domain of a socket names the role it serves: "rank"
/// or "shim".
class Authenticator {
public:
    Authenticator(EventLoop& loop, zmq::context_t& context, const Secret& run_secret, int world_size, bool curve);

    /// Handshakes that were refused so far.
    [[nodiscard]] std::uint64_t refused() const noexcept { return handler_->refused(); }

private:
    [[nodiscard]] std::optional<AuthenticatedPeer> check(const ZapRequest& request) const;

    Secret run_secret_;
    int world_size_;
    std::unordered_map<std::string, int> keys_[2];  ///< by role: CURVE public key to rank
    std::optional<ZapHandler> handler_;
};

}  // namespace rankexec
