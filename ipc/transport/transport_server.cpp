// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/transport_server.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/resources.hpp"
#include "rankexec/ipc/transport/authenticator.hpp"
#include "rankexec/ipc/transport/run_directory.hpp"
#include "rankexec/ipc/transport/zmq_socket.hpp"

namespace rankexec {
namespace {

constexpr std::array kKinds{ChannelKind::execution, ChannelKind::handler, ChannelKind::relay, ChannelKind::supervision};

constexpr int kBacklog = 4096;

/// ZeroMQ aborts the process when it cannot create a descriptor: per context some eight, per socket
/// and listener one or two, per connection one.
constexpr std::size_t kDescriptorsNeeded = 56;
/// And when it cannot allocate: its own two threads, and those that its users start around it.
constexpr std::size_t kThreadsAround = 6;

/// What the routes of links begin with.
constexpr std::string_view kLinkRoute = "unix-";

std::string route_of_link(ChannelKind kind, int rank) {
    return std::string(kLinkRoute) + std::string(to_string(kind)) + "-" + std::to_string(rank);
}

Failure launch_failure(std::string message) {
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = std::move(message);
    return failure;
}

/// Whether that event of a socket's monitor (zmq_socket_monitor(3)) tells of a connection that was turned away before
/// the authenticator was asked. What hangs up by itself, as a rank does that looks which address answers, is none.
bool is_refusal(std::uint16_t event, std::uint32_t value) {
    const auto error = static_cast<int>(value);
    switch (event) {
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL: return true;  // other mechanism, other keys, or no handshake at all
        case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: return error != EPIPE && error != ECONNRESET;  // too slow
        case ZMQ_EVENT_ACCEPT_FAILED:  // another user, unless we lack something ourselves
            return error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM;
        default: return false;
    }
}

class ZmqTransportServer final : public TransportServer {
public:
    ZmqTransportServer(EventLoop& loop, const Options& options, std::optional<RunDirectory> directory)
        : loop_(loop),
          options_(options),
          directory_(std::move(directory)),
          bootstrap_{options.run_id.empty() ? random_run_id() : options.run_id,
                     options.incarnation,
                     options.world_size,
                     -1,
                     options.place ? options.place->secret : Secret::random(),
                     {},
                     host_identity(),
                     options.place ? options.place->folder : directory_->path(),
                     {},
                     {},
                     options.heartbeat_timeout},
          authenticator_(loop, context_, bootstrap_.secret, options.world_size, options.tcp) {
        const auto server_keys =
            options.place ? fixed_server_keys(options.place->secret) : curve_keys_from(Secret::random());
        bootstrap_.server_key = server_keys.public_key;
        for (const auto kind : kKinds) {
            if (serves(kind)) bind(loop, kind, server_keys);
        }
        if (options.tcp) {
            bootstrap_.addresses = options.advertise_address.empty()
                                       ? interface_addresses()
                                       : std::vector<std::string>{options.advertise_address};
        }
    }

    ~ZmqTransportServer() override {
        for (auto& watch : watches_) watch.reset();
        for (std::size_t index = 0; index < monitors_.size(); ++index) {
            if (monitors_[index]) zmq_socket_monitor(sockets_[index].handle(), nullptr, 0);
            monitors_[index].reset();
        }
        for (auto& socket : sockets_) socket.close();
    }

    void on_message(ChannelKind kind, OnMessage callback) override {
        callbacks_[static_cast<std::size_t>(kind)] = std::move(callback);
    }

    void on_disconnect(ChannelKind kind, std::function<void()> callback) override {
        monitors_[static_cast<std::size_t>(kind)]->on_disconnect = std::move(callback);
    }

    bool send(ChannelKind kind, const std::string& route, const std::vector<wire::Frame>& frames) override {
        if (const auto link = links_.find(route); link != links_.end()) return link->second->send(frames);
        const auto index = static_cast<std::size_t>(kind);
        auto& socket = sockets_[index];
        watches_[index]->touched();
        try {
            if (!socket.send(zmq::message_t(route.data(), route.size()),
                             zmq::send_flags::sndmore | zmq::send_flags::dontwait)) {
                return false;
            }
            return send_frames(socket, frames);
        } catch (const zmq::error_t& error) {
            // ROUTER_MANDATORY: the peer is gone. Its exit is reported by its supervisor.
            log::debug("channel " + std::string(to_string(kind)) + ": " + error.what());
            return false;
        }
    }

    void adopt(int rank, RankLinks links) override {
        for (std::size_t index = 0; index < links.size(); ++index) {
            PeerConnection peer;
            peer.rank = rank;
            peer.route = route_of_link(static_cast<ChannelKind>(index), rank);
            if (links_.contains(peer.route)) return;
            UnixLink::Callbacks callbacks;
            callbacks.on_message = [this, index, peer](std::vector<wire::Frame>&& frames) {
                if (callbacks_[index]) callbacks_[index](peer, std::move(frames));
            };
            callbacks.on_closed = [this, index, peer](const std::string& error) {
                if (error.empty()) return;
                log::error("rank " + std::to_string(peer.rank) + ": " + error);
                // A message without an envelope ends the session, as this must.
                if (callbacks_[index]) callbacks_[index](peer, {wire::Frame{}});
            };
            links_.emplace(peer.route, std::make_unique<UnixLink>(loop_, std::move(links[index]), options_.limits,
                                                                  std::move(callbacks)));
        }
    }

    [[nodiscard]] const Bootstrap& bootstrap() const override { return bootstrap_; }
    [[nodiscard]] std::uint64_t refused_handshakes() const override {
        return authenticator_.refused() + refused_early_;
    }

private:
    [[nodiscard]] bool serves(ChannelKind kind) const {
        return !options_.place || kind == ChannelKind::execution || kind == ChannelKind::handler;
    }

    /// Of one channel's connections.
    struct Monitor {
        zmq::socket_t socket;
        std::function<void()> on_disconnect;
        std::unique_ptr<SocketWatch> watch;  // last: it refers to the socket
    };

    void watch_connections(EventLoop& loop, ChannelKind kind) {
        constexpr int kEvents = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_ACCEPT_FAILED | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
        const auto name = "inproc://monitor-" + std::string(to_string(kind));
        const auto index = static_cast<std::size_t>(kind);
        if (zmq_socket_monitor(sockets_[index].handle(), name.c_str(), kEvents) != 0) throw zmq::error_t();
        auto monitor = std::make_unique<Monitor>();
        monitor->socket = zmq::socket_t(context_, zmq::socket_type::pair);
        monitor->socket.set(zmq::sockopt::linger, 0);
        // A full queue would block libzmq's thread, and that the closing of this monitor.
        monitor->socket.set(zmq::sockopt::rcvhwm, 0);
        monitor->socket.connect(name);
        monitor->watch = std::make_unique<SocketWatch>(
            loop, monitor->socket, [this, index](std::vector<zmq::message_t>&& parts) { on_monitor(index, parts); });
        monitors_[index] = std::move(monitor);
    }

    void on_monitor(std::size_t index, const std::vector<zmq::message_t>& parts) {
        std::uint16_t event = 0;
        std::uint32_t value = 0;
        if (parts.empty() || parts[0].size() < sizeof event + sizeof value) return;
        std::memcpy(&event, parts[0].data(), sizeof event);
        std::memcpy(&value, static_cast<const char*>(parts[0].data()) + sizeof event, sizeof value);
        if (is_refusal(event, value)) {
            log::debug("refused a connection in its handshake: event " + std::to_string(event) + ", " +
                       std::generic_category().message(static_cast<int>(value)));
            ++refused_early_;
        }
        if (event == ZMQ_EVENT_DISCONNECTED && monitors_[index]->on_disconnect) monitors_[index]->on_disconnect();
    }

    void bind(EventLoop& loop, ChannelKind kind, const PeerCredentials::KeyPair& server_keys) {
        const auto index = static_cast<std::size_t>(kind);
        auto& socket = sockets_[index];
        socket = zmq::socket_t(context_, zmq::socket_type::router);
        set_common_options(socket, options_.limits.message_bytes);
        socket.set(zmq::sockopt::router_mandatory, true);
        socket.set(zmq::sockopt::zap_domain, std::string(kind == ChannelKind::supervision ? "shim" : "rank"));
        // All ranks connect at about the same time; one that finds the queue full takes the parent for gone.
        socket.set(zmq::sockopt::backlog, kBacklog);
        set_heartbeats(socket, bootstrap_.heartbeat_timeout);
        if (options_.place) set_keepalive(socket);
        const int uid = static_cast<int>(::getuid());
        zmq_setsockopt(socket.handle(), ZMQ_IPC_FILTER_UID, &uid, sizeof uid);
        watch_connections(loop, kind);
        // Options count for the binds that follow: PLAIN for ipc, then CURVE for tcp.
        socket.set(zmq::sockopt::plain_server, true);
        socket.bind(bootstrap_.ipc_endpoint(kind));
        if (options_.tcp) {
            socket.set(zmq::sockopt::curve_server, true);
            zmq_setsockopt(socket.handle(), ZMQ_CURVE_SECRETKEY, server_keys.secret_key.data(),
                           server_keys.secret_key.size());
            const auto address = options_.advertise_address.empty() ? "0.0.0.0" : options_.advertise_address;
            const auto first_port = options_.place ? options_.place->port : 0;
            const auto port = first_port == 0 ? "*" : std::to_string(first_port + static_cast<int>(index));
            socket.bind("tcp://" + address + ":" + port);
            const auto endpoint = socket.get(zmq::sockopt::last_endpoint);
            bootstrap_.ports.push_back(std::stoi(endpoint.substr(endpoint.rfind(':') + 1)));
        }
        watches_[index] = std::make_unique<SocketWatch>(
            loop, socket, [this, index](std::vector<zmq::message_t>&& parts) { receive(index, std::move(parts)); });
    }

    void receive(std::size_t index, std::vector<zmq::message_t>&& parts) {
        if (parts.size() < 2 || parts.size() > options_.limits.frames + 1 || !callbacks_[index]) return;
        PeerConnection connection;
        const char* user = zmq_msg_gets(parts[1].handle(), "User-Id");
        const auto peer = AuthenticatedPeer::from_user_id(user != nullptr ? user : "");
        if (!peer) return;
        connection.role = peer->role;
        connection.rank = peer->rank;
        connection.curve = peer->curve;
        connection.tcp = peer->tcp;
        connection.route = parts[0].to_string();
        if (connection.route.starts_with(kLinkRoute)) return;  // peers may choose theirs
        callbacks_[index](connection, to_frames(std::move(parts), 1));
    }

    EventLoop& loop_;
    Options options_;
    std::optional<RunDirectory> directory_;  ///< goes last, after the sockets in it; none: a fixed place
    Bootstrap bootstrap_;
    zmq::context_t context_;
    Authenticator authenticator_;
    std::array<zmq::socket_t, kKinds.size()> sockets_;
    std::array<std::unique_ptr<SocketWatch>, kKinds.size()> watches_;
    std::array<OnMessage, kKinds.size()> callbacks_;
    std::array<std::unique_ptr<Monitor>, kKinds.size()> monitors_;
    std::unordered_map<std::string, std::unique_ptr<UnixLink>> links_;  ///< by route; those that were closed stay
    std::uint64_t refused_early_ = 0;                                   ///< before the authenticator was asked
};

}  // namespace

tl::expected<std::unique_ptr<TransportServer>, Failure> TransportServer::start(EventLoop& loop,
                                                                               const Options& options) {
    const auto needed = kDescriptorsNeeded + 5 * static_cast<std::size_t>(options.world_size);
    if (const auto free = available_descriptors(); free < needed) {
        return tl::unexpected(launch_failure("only " + std::to_string(free) + " file descriptors are left, " +
                                             std::to_string(needed) + " are needed; raise the limit (ulimit -n)"));
    }
    if (const auto lack = lack_of_address_space(kThreadsAround)) return tl::unexpected(launch_failure(*lack));
    if (const auto lack = lack_of_threads(kZmqThreads)) return tl::unexpected(launch_failure(*lack));
    std::optional<RunDirectory> directory;
    if (!options.place) {
        auto path = options.run_directory;
        if (path.empty()) {
            auto chosen = choose_run_directory();
            if (!chosen) return tl::unexpected(chosen.error());
            path = std::move(*chosen);
        }
        auto made = RunDirectory::make(path);
        if (!made) return tl::unexpected(made.error());
        directory.emplace(std::move(*made));
    }
    try {
        return std::make_unique<ZmqTransportServer>(loop, options, std::move(directory));
    } catch (const std::exception& error) {
        return tl::unexpected(
            launch_failure("channels could not be opened" +
                           (options.advertise_address.empty() ? std::string() : " on " + options.advertise_address) +
                           ": " + error.what()));
    }
}

}  // namespace rankexec
