// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/transport/bootstrap.hpp"
#include "rankexec/ipc/transport/unix_link.hpp"
#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec {

/// A connection that the handshake has authenticated, as messages come from it and go to it.
struct PeerConnection {
    PeerRole role = PeerRole::rank;
    int rank = 0;
    std::string route;  ///< distinct connections differ
    bool curve = false;
    bool tcp = false;
};

/// The parent's end of the channels: one bound ROUTER socket per channel, on ipc in a 0700 run
/// directory and, on request, on tcp as well; and the links of ranks that share memory with us. Nobody without this
/// run's credentials gets a message through. Lives on one EventLoop; has a ZeroMQ context of its own.
class RANKEXEC_EXPORT TransportServer {
public:
    /// Where a server can be found again after a restart: the folder is there, private, and the caller's alone as long
    /// as the server is; whoever has the secret may connect. Nothing but sockets is made there.
    struct FixedPlace {
        std::string folder;  ///< absolute; at most 80 characters
        Secret secret;
        int port = 0;  ///< on tcp: of the first channel, each further one has the next; 0: any
    };
    struct Options {
        std::string run_id;         ///< empty: a random one
        std::string run_directory;  ///< absolute, must not exist yet; empty: as choose_run_directory() says
        int world_size = 1;
        std::uint32_t incarnation = 1;
        bool tcp = false;               ///< listen on tcp too
        std::string advertise_address;  ///< what remote peers connect to; empty: every interface
        std::chrono::milliseconds heartbeat_timeout = kHeartbeatTimeout;  ///< of all peers; 0: no heartbeats
        wire::Limits limits;
        std::optional<FixedPlace> place;  ///< instead of a run directory of its own, and of a secret made for this run
    };
    using OnMessage = std::function<void(const PeerConnection&, std::vector<wire::Frame>&&)>;

    /// Creates the run directory and binds. With a place only the channels `execution` and `handler` are there. Fails
    /// with launch_error when descriptors have run out or an address cannot be bound, and then leaves nothing behind.
    static tl::expected<std::unique_ptr<TransportServer>, Failure> start(EventLoop& loop, const Options& options);
    virtual ~TransportServer() = default;

    /// Who receives the messages of that channel. To be set before the loop runs.
    virtual void on_message(ChannelKind kind, OnMessage callback) = 0;

    /// Called after any connection of that channel was lost; send() then tells whose. To be set before
    /// the loop runs.
    virtual void on_disconnect(ChannelKind kind, std::function<void()> callback) = 0;

    /// Queues a message for that connection. False when it has never existed or is gone.
    virtual bool send(ChannelKind kind, const std::string& route, const std::vector<wire::Frame>& frames) = 0;

    /// Takes connections of a rank that has been authenticated elsewhere. Their messages come as any others do. A rank
    /// has them at most once.
    virtual void adopt(int rank, RankLinks links) = 0;

    /// The shim's form; for_rank() gives a rank's.
    [[nodiscard]] virtual const Bootstrap& bootstrap() const = 0;

    [[nodiscard]] virtual std::uint64_t refused_handshakes() const = 0;
};

}  // namespace rankexec
