// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/transport/bootstrap.hpp"
#include "rankexec/ipc/transport/unix_link.hpp"
#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec {

/// A rank's or a shim's end of the channels: one DEALER socket per channel, with a ZeroMQ context of its own, or one
/// Unix socket per channel. Lives on one EventLoop.
class RANKEXEC_EXPORT TransportClient {
public:
    struct Callbacks {
        std::function<void(ChannelKind, std::vector<wire::Frame>&&)> on_message;
        /// The connection is up and authenticated; may come again after on_disconnected.
        std::function<void(ChannelKind)> on_connected;
        /// The connection is lost, or a heartbeat was missed; ZeroMQ reconnects by itself.
        std::function<void(ChannelKind)> on_disconnected;
        /// There is no connection, and ZeroMQ tries again, by itself: after one that was lost, and after each try that
        /// has failed.
        std::function<void(ChannelKind)> on_unreachable = {};
        /// The parent refused the handshake: final.
        std::function<void(ChannelKind, const std::string& why)> on_refused;
    };

    /// When the other side has to be there.
    enum class Reach : std::uint8_t {
        now,       ///< it listens before it gives its bootstrap away
        whenever,  ///< it comes and goes: its only address is taken as it is, and tried again and again
    };

    /// Picks ipc when the parent runs on this host, else the first of its tcp addresses that answers
    /// within `reach_timeout`, and starts connecting. Fails with a message that names what was tried.
    /// `bootstrap` holds the secret for `role`: a rank's own, or the run's for a shim.
    static tl::expected<std::unique_ptr<TransportClient>, std::string> connect(
        EventLoop& loop, const Bootstrap& bootstrap, PeerRole role, int rank, const std::vector<ChannelKind>& channels,
        Callbacks callbacks, std::chrono::milliseconds reach_timeout = std::chrono::seconds(10),
        Reach reach = Reach::now);
    /// A rank's end over connections that it has got together with its shared memory. Throws std::system_error when
    /// they cannot be watched.
    static std::unique_ptr<TransportClient> over(EventLoop& loop, RankLinks links, Callbacks callbacks);
    virtual ~TransportClient() = default;

    /// Queues a message; it leaves when the connection is up.
    virtual void send(ChannelKind kind, const std::vector<wire::Frame>& frames) = 0;

    /// Waits until everything queued was handed to the kernel or the peer is gone, at most this long;
    /// then closes. Nothing may be called afterwards.
    virtual void close(std::chrono::milliseconds linger) = 0;
};

}  // namespace rankexec
