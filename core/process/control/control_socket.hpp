// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/wire/messages.hpp"
#include "rankexec/ipc/wire/stream_framing.hpp"

namespace rankexec::process {

/// One end of the stream socket between host and guardian: messages in, messages out, never blocking.
/// One thread, that of the loop.
class ControlSocket {
public:
    struct Callbacks {
        std::function<void(wire::Message&&)> on_message;
        /// End of file, or bytes that are no message (then `error` says why). Once, last.
        std::function<void(const std::string& error)> on_closed;
    };

    /// Takes a connected, non-blocking stream socket. Messages of another run are dropped; an empty
    /// `run_id` is learned from the first message. Throws std::system_error when it cannot be watched.
    ControlSocket(EventLoop& loop, UniqueFd socket, std::string run_id, Callbacks callbacks);
    ~ControlSocket();
    ControlSocket(const ControlSocket&) = delete;
    ControlSocket& operator=(const ControlSocket&) = delete;

    /// Sends or queues; after the peer is gone: nothing. A message over the limits is dropped and
    /// false returned.
    bool send(const wire::Message& message);
    /// Whether everything has been handed to the kernel.
    [[nodiscard]] bool flushed() const noexcept { return queue_.empty(); }
    /// Called whenever flushed() becomes true after it was not.
    void on_flushed(std::function<void()> callback) { on_flushed_ = std::move(callback); }
    /// Waits at most that long for the socket, in place of the loop, and serves it.
    void serve_once(std::chrono::milliseconds longest);
    /// Reads and delivers what has arrived, without waiting for the loop.
    void drain();
    [[nodiscard]] bool closed() const noexcept { return !socket_.valid(); }
    void close();

private:
    void on_ready(std::uint32_t events);
    /// False when the peer has closed, or the socket is closed by now.
    bool read_once();
    void deliver();
    void write_some();
    void update_watch();
    void fail(const std::string& error);

    EventLoop& loop_;
    UniqueFd socket_;
    std::string run_id_;
    Callbacks callbacks_;
    std::function<void()> on_flushed_;
    wire::StreamDecoder decoder_;
    std::deque<WipedBytes> queue_;
    std::size_t written_ = 0;  ///< of the first entry
    std::uint64_t sequence_ = 0;
    bool watches_output_ = false;
};

}  // namespace rankexec::process
