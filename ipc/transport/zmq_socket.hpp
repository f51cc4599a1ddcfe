// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include <zmq.hpp>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec {

/// A ZeroMQ message as frames that share its memory.
[[nodiscard]] wire::Frame to_frame(zmq::message_t&& part);

/// Sends frames as one multipart message without blocking; large frames are handed to ZeroMQ without
/// copying. False when ZeroMQ does not take it (no such peer).
[[nodiscard]] bool send_frames(zmq::socket_t& socket, const std::vector<wire::Frame>& frames);

/// Receives one multipart message without blocking; empty when there is none.
[[nodiscard]] std::vector<zmq::message_t> receive_parts(zmq::socket_t& socket);

/// That a context starts with its first socket: one for input and output, one that reaps closed sockets.
inline constexpr std::size_t kZmqThreads = 2;

/// Options that every socket of ours has: no linger, bounded message and handshake, no HWM-blocking.
void set_common_options(zmq::socket_t& socket, std::size_t max_message_bytes);

/// ZMTP heartbeats: after so long a silence of the peer its connection is lost. 0: none.
void set_heartbeats(zmq::socket_t& socket, std::chrono::milliseconds timeout);

/// Serves a socket from an EventLoop: calls back for each message that has arrived.
///
/// ZMQ_FD is edge-triggered in effect (zmq_getsockopt(3)): its readiness only says that ZMQ_EVENTS
/// may have changed, and sending or receiving consumes that. So the socket is drained before every
/// wait of the loop, and the descriptor is watched only to end the wait.
class SocketWatch {
public:
    using OnMessage = std::function<void(std::vector<zmq::message_t>&&)>;

    SocketWatch(EventLoop& loop, zmq::socket_t& socket, OnMessage on_message);
    ~SocketWatch();
    SocketWatch(const SocketWatch&) = delete;
    SocketWatch& operator=(const SocketWatch&) = delete;

private:
    bool drain();

    EventLoop& loop_;
    zmq::socket_t& socket_;
    OnMessage on_message_;
    int fd_;
    std::uint64_t source_ = 0;
};

}  // namespace rankexec
