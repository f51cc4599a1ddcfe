// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <zmq.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/transport/zmq_socket.hpp"

namespace rankexec {

/// What a handshake asks (RFC 27/ZAP). Refers to the request, for as long as that is looked at.
struct ZapRequest {
    std::string_view domain;
    std::string_view address;  ///< libzmq gives a numeric one for tcp, and uid:gid:pid or nothing for ipc
    std::string_view mechanism;
    std::vector<std::string_view> credentials;
};

/// Answers the handshakes of one ZeroMQ context. Must exist before any other socket of the context is bound. Lives on
/// one EventLoop, where `user_of` is called.
class RANKEXEC_EXPORT ZapHandler {
public:
    /// What ZeroMQ puts on the peer's messages as its User-Id; empty: refused. Who is refused because it throws has not
    /// been looked at, and may be let in later.
    using UserOf = std::function<std::string(const ZapRequest& request)>;
    /// `whom` is for the log: "a connection without this run's credentials".
    ZapHandler(EventLoop& loop, zmq::context_t& context, UserOf user_of, std::string whom);

    /// Handshakes that were refused so far. Any thread.
    [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

private:
    void answer(std::vector<zmq::message_t>&& request);
    [[nodiscard]] std::string decide(const std::vector<zmq::message_t>& request);
    void count_refused();

    UserOf user_of_;
    std::string whom_;
    std::atomic<std::uint64_t> refused_ = 0;
    zmq::socket_t socket_;
    std::unique_ptr<SocketWatch> watch_;
};

}  // namespace rankexec
