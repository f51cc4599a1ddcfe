// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/channel/assembly.hpp"
#include "rankexec/ipc/channel/delay_line.hpp"
#include "rankexec/ipc/channel/outbox.hpp"
#include "rankexec/ipc/channel/resumption.hpp"
#include "rankexec/ipc/transport/transport_client.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// A rank's or a shim's ends of its channels: typed messages to and from the parent, in order, large ones
/// in parts. Lives on one EventLoop.
class RANKEXEC_EXPORT PeerChannels {
public:
    struct Callbacks {
        std::function<void(ChannelKind, wire::Message&&)> on_message;
        /// A message whose body cannot be understood, by its type's number; the error may name the call.
        /// (Of an answer whose call is known, on_message gets one in its place that fails the call.)
        std::function<void(ChannelKind, std::uint16_t type, const wire::DecodeError& error)> on_bad_body;
        /// The session cannot go on: the parent does not follow the protocol, or refused us.
        std::function<void(const std::string& why)> on_broken;
        std::function<void(ChannelKind)> on_connected;
        std::function<void(ChannelKind)> on_disconnected;
        /// There is no connection, and it is tried once more.
        std::function<void(ChannelKind)> on_unreachable = {};
        /// The parent has said what it has received; all_confirmed() may have changed.
        std::function<void(ChannelKind)> on_confirmed = {};
    };

    static tl::expected<std::unique_ptr<PeerChannels>, std::string> connect(EventLoop& loop, const Bootstrap& bootstrap,
                                                                            PeerRole role, int rank,
                                                                            const std::vector<ChannelKind>& channels,
                                                                            Callbacks callbacks);

    /// A rank's, over connections that it has got together with its shared memory. Throws std::system_error when they
    /// cannot be watched.
    static std::unique_ptr<PeerChannels> over(EventLoop& loop, const Bootstrap& bootstrap, RankLinks links,
                                              Callbacks callbacks);

    /// Whether the parent has said that it has all that was sent. Only of a channel whose session outlives its
    /// connections (channel_rules.hpp).
    [[nodiscard]] bool all_confirmed(ChannelKind kind) const;

    /// Fails with the limit that the message exceeds.
    tl::expected<void, std::string> send(ChannelKind kind, const wire::Message& message);

    /// Hands over what is queued, at most for this long, and closes.
    void close(std::chrono::milliseconds linger);

private:
    PeerChannels(EventLoop& loop, const Bootstrap& bootstrap, int rank, Callbacks callbacks);
    [[nodiscard]] TransportClient::Callbacks transport_callbacks();
    void receive(ChannelKind kind, std::vector<wire::Frame>&& frames);
    /// Of a channel whose session outlives its connections.
    void send_unnumbered(ChannelKind kind, const wire::Message& message);
    void on_unnumbered(ChannelKind kind, const std::vector<wire::Frame>& frames);
    [[nodiscard]] wire::Envelope next_envelope(ChannelKind kind);
    void on_connected(ChannelKind kind);
    void deliver(ChannelKind kind, std::vector<wire::Frame>&& frames);
    void hand_over(ChannelKind kind, std::vector<wire::Frame>&& frames);
    [[nodiscard]] Outbox::Send sender(ChannelKind kind);
    void on_part(ChannelKind kind, const wire::MessagePart& part);

    std::string run_id_;
    std::uint32_t incarnation_;
    int rank_;
    std::uint64_t session_;  ///< on channels whose session outlives its connections
    Callbacks callbacks_;
    DelayLine delay_;
    std::array<std::uint64_t, 4> sent_{};
    std::array<std::uint64_t, 4> received_{};
    std::array<std::uint64_t, 4> connections_{};  ///< how many there have been
    std::array<bool, 4> resuming_{};              ///< the parent has not answered on this connection
    std::array<Resumption, 4> resumptions_;
    std::uint64_t last_result_ = 0;  ///< number of the task whose result was sent last
    std::array<Outbox, 4> outboxes_;
    std::array<Assembly, 4> assemblies_;
    std::unique_ptr<TransportClient> transport_;
};

}  // namespace rankexec
