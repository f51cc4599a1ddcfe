// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <zmq.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec {

/// What a ZeroMQ message holds from its part `first` on, as frames that share its memory: envelope and body come in one
/// part, because each part costs an encryption and a decryption.
[[nodiscard]] std::vector<wire::Frame> to_frames(std::vector<zmq::message_t>&& parts, std::size_t first = 0);

/// Sends frames as one multipart message without blocking: envelope and body as one part, which is a copy of them;
/// large tensors are handed to ZeroMQ without copying. False when ZeroMQ does not take it (no such peer).
[[nodiscard]] bool send_frames(zmq::socket_t& socket, const std::vector<wire::Frame>& frames);

/// The same as they are: a part of the message for each. At least one.
[[nodiscard]] RANKEXEC_EXPORT bool send_parts(zmq::socket_t& socket, std::span<const wire::Frame> parts);

/// A part as a frame that shares its memory.
[[nodiscard]] RANKEXEC_EXPORT wire::Frame to_frame(zmq::message_t&& part);

/// Receives one multipart message without blocking; empty when there is none.
[[nodiscard]] std::vector<zmq::message_t> receive_parts(zmq::socket_t& socket);

/// That a context starts with its first socket: one for input and output, one that reaps closed sockets.
inline constexpr std::size_t kZmqThreads = 2;

/// Options that every socket of ours has: no linger, bounded message and handshake, no HWM-blocking.
RANKEXEC_EXPORT void set_common_options(zmq::socket_t& socket, std::size_t max_message_bytes);

/// ZMTP heartbeats: after so long a silence of the peer its connection is lost. 0: none.
RANKEXEC_EXPORT void set_heartbeats(zmq::socket_t& socket, std::chrono::milliseconds timeout);

/// For connections that last for days, and are to be made again when the network has lost them: the kernel gives up one
/// whose other end has not answered for some 30 seconds, whatever waits in it.
RANKEXEC_EXPORT void set_keepalive(zmq::socket_t& socket);

/// Serves a socket from an EventLoop: calls back for each message that has arrived.
///
/// ZMQ_FD is edge-triggered in effect (zmq_getsockopt(3)): its readiness only says that ZMQ_EVENTS
/// may have changed, and sending or receiving consumes that. So the socket is drained before the next
/// wait of the loop when the descriptor was ready, or when something was sent: touched() must be called
/// then. Asking a socket that has nothing costs system calls, and there are many sockets.
class RANKEXEC_EXPORT SocketWatch {
public:
    using OnMessage = std::function<void(std::vector<zmq::message_t>&&)>;

    SocketWatch(EventLoop& loop, zmq::socket_t& socket, OnMessage on_message);
    ~SocketWatch();
    SocketWatch(const SocketWatch&) = delete;
    SocketWatch& operator=(const SocketWatch&) = delete;

    /// Something was sent on the socket, outside of `on_message`. On the loop's thread.
    void touched() noexcept { check_ = true; }

private:
    bool drain();

    EventLoop& loop_;
    zmq::socket_t& socket_;
    OnMessage on_message_;
    int fd_;
    bool check_ = true;  ///< there may be messages without the descriptor's telling
    std::uint64_t source_ = 0;
};

}  // namespace rankexec
