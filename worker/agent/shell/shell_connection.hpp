// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/pipe/pipe_message.hpp"
#include "rankexec/ipc/wire/stream_framing.hpp"

namespace rankexec::agent::shell {

/// One command's connection to the socket, on the server's side. Lives on one EventLoop.
class ShellConnection {
public:
    struct Callbacks {
        /// Any may destroy the connection.
        std::function<void(PipeMessage&&)> on_message;
        std::function<void()> on_gone;  ///< hung up, or said what is no message
    };

    /// Throws std::system_error when the system cannot watch it.
    ShellConnection(EventLoop& loop, UniqueFd fd, Callbacks callbacks);
    ~ShellConnection();
    ShellConnection(const ShellConnection&) = delete;
    ShellConnection& operator=(const ShellConnection&) = delete;

    /// Never blocks: what the socket does not take is queued.
    void send(std::vector<wire::Frame> pieces);

private:
    void on_events(std::uint32_t events);
    [[nodiscard]] bool read();
    [[nodiscard]] bool write();
    void watch();

    EventLoop& loop_;
    UniqueFd fd_;
    Callbacks callbacks_;
    wire::StreamDecoder decoder_;
    std::deque<PipeMessage> messages_;
    std::deque<wire::Frame> out_;
    std::size_t written_ = 0;  ///< of the first of them
    bool watches_writing_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace rankexec::agent::shell
