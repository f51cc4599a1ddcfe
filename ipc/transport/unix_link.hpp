// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/wire/codec.hpp"
#include "rankexec/ipc/wire/stream_framing.hpp"

namespace rankexec {

/// The connections of a rank that shares memory with its parent, one for each of its channels, by ChannelKind.
using RankLinks = std::array<UniqueFd, 3>;

/// One end of a channel between the parent and a rank on its host: messages over a connected Unix stream socket
/// (PROTOCOL.md, section "Streams"), never blocking. Lives on one EventLoop; not to be destroyed by its callbacks.
class RANKEXEC_EXPORT UnixLink {
public:
    struct Callbacks {
        std::function<void(std::vector<wire::Frame>&&)> on_message;
        /// End of file, or bytes that are no message (then `error` says why). Once, last.
        std::function<void(const std::string& error)> on_closed;
    };

    /// Throws std::system_error when the socket cannot be watched.
    UnixLink(EventLoop& loop, UniqueFd socket, const wire::Limits& limits, Callbacks callbacks);
    ~UnixLink();
    UnixLink(const UnixLink&) = delete;
    UnixLink& operator=(const UnixLink&) = delete;

    /// Sends, or queues without a bound, as every message of ours belongs to a call that is bounded elsewhere. Large
    /// frames are not copied. False, and nothing is sent, when the peer is gone.
    bool send(std::span<const wire::Frame> frames);

    /// Waits until everything queued was handed to the kernel or the peer is gone, at most until then.
    void flush(std::chrono::steady_clock::time_point deadline);

private:
    void on_ready(std::uint32_t events);
    void read_some();
    void write_some();
    void consume(std::size_t size);
    void watch();
    void close(const std::string& error);

    EventLoop& loop_;
    UniqueFd socket_;
    Callbacks callbacks_;
    wire::StreamDecoder decoder_;
    std::deque<wire::Frame> queue_;  ///< pieces of the stream
    std::size_t written_ = 0;        ///< of the first piece
    bool watches_output_ = false;
    bool peer_gone_ = false;
};

}  // namespace rankexec
