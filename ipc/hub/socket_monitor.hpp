// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <zmq.hpp>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/transport/zmq_socket.hpp"

namespace rankexec::hub {

/// What becomes of a socket's connections (zmq_socket_monitor(3)), on an EventLoop. Goes before the socket does, not
/// within its own callback.
class SocketMonitor {
public:
    using OnEvent = std::function<void(std::uint16_t event, std::uint32_t value)>;
    /// Throws zmq::error_t. `name`: unique in the context, as long as this is there.
    SocketMonitor(EventLoop& loop, zmq::context_t& context, zmq::socket_t& socket, const std::string& name, int events,
                  OnEvent on_event);
    ~SocketMonitor();
    SocketMonitor(const SocketMonitor&) = delete;
    SocketMonitor& operator=(const SocketMonitor&) = delete;

private:
    zmq::socket_t& watched_;
    zmq::socket_t socket_;
    std::unique_ptr<SocketWatch> watch_;  // last: it refers to the socket
};

}  // namespace rankexec::hub
