// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/hub/socket_monitor.hpp"

#include <cstring>
#include <utility>
#include <vector>

namespace rankexec::hub {

SocketMonitor::SocketMonitor(EventLoop& loop, zmq::context_t& context, zmq::socket_t& socket, const std::string& name,
                             int events, OnEvent on_event)
    : watched_(socket), socket_(context, zmq::socket_type::pair) {
    const auto endpoint = "inproc://" + name;
    if (zmq_socket_monitor(socket.handle(), endpoint.c_str(), events) != 0) throw zmq::error_t();
    socket_.set(zmq::sockopt::linger, 0);
    // A full queue would block libzmq's thread, and that the closing of this monitor.
    socket_.set(zmq::sockopt::rcvhwm, 0);
    socket_.connect(endpoint);
    watch_ = std::make_unique<SocketWatch>(
        loop, socket_, [on_event = std::move(on_event)](std::vector<zmq::message_t>&& parts) {
            std::uint16_t event = 0;
            std::uint32_t value = 0;
            if (parts.empty() || parts[0].size() < sizeof event + sizeof value) return;
            std::memcpy(&event, parts[0].data(), sizeof event);
            std::memcpy(&value, static_cast<const char*>(parts[0].data()) + sizeof event, sizeof value);
            on_event(event, value);
        });
}

SocketMonitor::~SocketMonitor() {
    watch_.reset();
    zmq_socket_monitor(watched_.handle(), nullptr, 0);
}

}  // namespace rankexec::hub
