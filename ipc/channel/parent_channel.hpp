// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/channel/assembly.hpp"
#include "rankexec/ipc/channel/channel_rules.hpp"
#include "rankexec/ipc/channel/outbox.hpp"
#include "rankexec/ipc/channel/resumption.hpp"
#include "rankexec/ipc/transport/transport_server.hpp"
#include "rankexec/ipc/wire/codec.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// The parent's end of one channel: typed messages to and from each rank, in order, with everything
/// stale, foreign or doubled dropped and counted. Lives on the transport's loop.
///
/// A rank is reachable once its first message has come. The connection that brought it is the
/// rank's: another one with the same credentials is only taken over when it continues the message
/// numbers exactly (a reconnected network), so a second hello for a live rank is refused. On a channel
/// whose session outlives its connections (channel_rules.hpp) the rank says so on each connection, with a number that
/// only it knows, and what a cut has lost is sent again then.
///
/// Large messages go and come in parts, each rank's at its own pace.
class RANKEXEC_EXPORT ParentChannel {
public:
    struct Callbacks {
        std::function<void(int rank, wire::Message&&)> on_message;
        /// A message whose body cannot be understood, and of which not even the call is known. (With the
        /// call known, on_message gets a message in its place that fails the call.)
        std::function<void(int rank, const std::string& why)> on_bad_body;
        /// The rank does not follow the protocol: its session is over.
        std::function<void(int rank, const std::string& why)> on_violation;
    };

    ParentChannel(TransportServer& transport, ChannelKind kind, int world_size, Callbacks callbacks);

    /// Fails with the limit that the message exceeds. A rank that is not connected loses it, unless the session
    /// outlives its connections: whoever waits for its answer learns of its end from its supervisor.
    tl::expected<void, std::string> send(int rank, const wire::Message& message);
    /// The same for a message that goes to several ranks, encoded once.
    tl::expected<void, std::string> send(int rank, const wire::EncodedBody& body);

    /// Sends a message of that type that is still on its way to the rank as it is, without the tensors that are still
    /// to be sent, and so as one that fails its call. Whether there was any.
    template <typename Kind>
    bool cut(int rank) {
        return cut(rank, wire::type_number<Kind>());
    }

    /// Sends a message that does no harm, and says whether there is a connection to send it on. Only where the session
    /// outlives its connections.
    [[nodiscard]] bool probe(int rank);

    /// Called after any connection of the channel was lost; probe() then tells whose. Set it before the
    /// loop runs.
    void on_disconnect(std::function<void()> callback);

    [[nodiscard]] bool connected(int rank) const;
    [[nodiscard]] const PeerConnection& connection(int rank) const;
    [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

private:
    struct Peer {
        PeerConnection connection;
        std::uint64_t received = 0;  ///< number of the last message
        std::uint64_t sent = 0;
        Outbox outbox;
        Assembly assembly;
        Resumption resumption;          ///< where the session outlives its connections
        std::uint64_t session = 0;      ///< likewise: what the rank calls it
        std::uint64_t connections = 0;  ///< of that session, up to this one
    };
    enum class Fate { taken, dropped, ignored, some_are_lost };
    [[nodiscard]] Fate fate_of(const PeerConnection& from, std::uint64_t sequence) const;
    [[nodiscard]] wire::Envelope next_envelope(int rank) const;
    bool deliver(int rank, const std::vector<wire::Frame>& frames);
    [[nodiscard]] Outbox::Send sender(int rank);
    bool cut(int rank, std::uint16_t type);
    void on_part(int rank, const wire::MessagePart& part);
    /// Beside the sequence. Whether it could be sent.
    bool send_unnumbered(int rank, const wire::Message& message);
    void on_received(const PeerConnection& from, const wire::Received& received);
    void on_resume(const PeerConnection& from, const wire::Resume& resume);
    void on_unnumbered(const PeerConnection& from, const std::vector<wire::Frame>& frames);
    [[nodiscard]] bool outlives() const { return outlives_connections(kind_); }
    void drop(int rank);
    void receive(const PeerConnection& from, std::vector<wire::Frame>&& frames);

    TransportServer& transport_;
    ChannelKind kind_;
    Callbacks callbacks_;
    std::vector<Peer> peers_;
    std::uint64_t dropped_ = 0;
};

}  // namespace rankexec
