// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/transport_client.hpp"

#include <cstring>
#include <unordered_map>
#include <utility>

#include "rankexec/core/system/resources.hpp"
#include "rankexec/ipc/transport/reachable_address.hpp"
#include "rankexec/ipc/transport/zmq_socket.hpp"

namespace rankexec {
namespace {

constexpr std::size_t kDescriptorsNeeded = 32;
/// Milliseconds between two tries to reach who may come in a second or in a day.
constexpr int kLongestRetry = 1000;

struct Connection {
    zmq::socket_t socket;
    zmq::socket_t monitor;
    std::unique_ptr<SocketWatch> watch;
    std::unique_ptr<SocketWatch> monitor_watch;
};

class ZmqTransportClient final : public TransportClient {
public:
    ZmqTransportClient(EventLoop& loop, const Bootstrap& bootstrap, PeerCredentials credentials, std::string address,
                       const std::vector<ChannelKind>& channels, Callbacks callbacks, Reach reach)
        : bootstrap_(bootstrap),
          reach_(reach),
          credentials_(std::move(credentials)),
          address_(std::move(address)),
          callbacks_(std::move(callbacks)) {
        for (const auto kind : channels) open(loop, kind);
    }

    ~ZmqTransportClient() override { close(std::chrono::milliseconds(0)); }

    void send(ChannelKind kind, const std::vector<wire::Frame>& frames) override {
        const auto found = connections_.find(kind);
        if (found == connections_.end()) return;
        found->second->watch->touched();
        (void)send_frames(found->second->socket, frames);
    }

    void close(std::chrono::milliseconds linger) override {
        for (auto& [kind, connection] : connections_) {
            connection->watch.reset();
            connection->monitor_watch.reset();
            zmq_socket_monitor(connection->socket.handle(), nullptr, 0);
            connection->monitor.close();
            connection->socket.set(zmq::sockopt::linger, static_cast<int>(linger.count()));
            connection->socket.close();
        }
        connections_.clear();
        context_.close();  // waits for what lingers
    }

private:
    void open(EventLoop& loop, ChannelKind kind) {
        auto connection = std::make_unique<Connection>();
        auto& socket = connection->socket;
        socket = zmq::socket_t(context_, zmq::socket_type::dealer);
        set_common_options(socket, wire::Limits{}.message_bytes);
        set_heartbeats(socket, bootstrap_.heartbeat_timeout);
        // Reconnecting is for a network that blinks; a lease ends after a second.
        socket.set(zmq::sockopt::reconnect_ivl, 50);
        if (reach_ == Reach::whenever) {
            socket.set(zmq::sockopt::reconnect_ivl_max, kLongestRetry);
            set_keepalive(socket);
        }
        if (address_.empty()) {
            socket.set(zmq::sockopt::plain_username, credentials_.user_name());
            socket.set(zmq::sockopt::plain_password, credentials_.password());
        } else {
            const auto keys = credentials_.curve_keys();
            set_key(socket, ZMQ_CURVE_SERVERKEY, bootstrap_.server_key);
            set_key(socket, ZMQ_CURVE_PUBLICKEY, keys.public_key);
            set_key(socket, ZMQ_CURVE_SECRETKEY, keys.secret_key);
        }
        const auto monitor_name = "inproc://monitor-" + std::string(to_string(kind));
        if (zmq_socket_monitor(socket.handle(), monitor_name.c_str(), ZMQ_EVENT_ALL) != 0) throw zmq::error_t();
        connection->monitor = zmq::socket_t(context_, zmq::socket_type::pair);
        connection->monitor.set(zmq::sockopt::linger, 0);
        connection->monitor.connect(monitor_name);
        connection->monitor_watch = std::make_unique<SocketWatch>(
            loop, connection->monitor,
            [this, kind](std::vector<zmq::message_t>&& parts) { on_monitor(kind, std::move(parts)); });
        connection->watch = std::make_unique<SocketWatch>(
            loop, socket, [this, kind](std::vector<zmq::message_t>&& parts) { receive(kind, std::move(parts)); });
        socket.connect(address_.empty() ? bootstrap_.ipc_endpoint(kind) : bootstrap_.tcp_endpoint(kind, address_));
        connections_.emplace(kind, std::move(connection));
    }

    static void set_key(zmq::socket_t& socket, int option, const PeerCredentials::Key& key) {
        if (zmq_setsockopt(socket.handle(), option, key.data(), key.size()) != 0) throw zmq::error_t();
    }

    void receive(ChannelKind kind, std::vector<zmq::message_t>&& parts) {
        if (callbacks_.on_message) callbacks_.on_message(kind, to_frames(std::move(parts)));
    }

    /// zmq_socket_monitor(3): the first frame holds a 16-bit event number and a 32-bit value.
    void on_monitor(ChannelKind kind, std::vector<zmq::message_t>&& parts) {
        std::uint16_t event = 0;
        if (parts.empty() || parts[0].size() < sizeof event) return;
        std::memcpy(&event, parts[0].data(), sizeof event);
        switch (event) {
            case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
                if (callbacks_.on_connected) callbacks_.on_connected(kind);
                break;
            case ZMQ_EVENT_DISCONNECTED:
                if (callbacks_.on_disconnected) callbacks_.on_disconnected(kind);
                break;
            case ZMQ_EVENT_CONNECT_RETRIED:
                if (callbacks_.on_unreachable) callbacks_.on_unreachable(kind);
                break;
            case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
                if (callbacks_.on_refused) callbacks_.on_refused(kind, "the parent refused this rank's credentials");
                break;
            case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
                if (callbacks_.on_refused) callbacks_.on_refused(kind, "the peer at the parent's address is no parent");
                break;
            default: break;
        }
    }

    Bootstrap bootstrap_;
    Reach reach_;
    PeerCredentials credentials_;
    std::string address_;  ///< empty: ipc
    Callbacks callbacks_;
    zmq::context_t context_;
    std::unordered_map<ChannelKind, std::unique_ptr<Connection>> connections_;
};

}  // namespace

tl::expected<std::unique_ptr<TransportClient>, std::string> TransportClient::connect(
    EventLoop& loop, const Bootstrap& bootstrap, PeerRole role, int rank, const std::vector<ChannelKind>& channels,
    Callbacks callbacks, std::chrono::milliseconds reach_timeout, Reach reach) {
    if (const auto free = available_descriptors(); free < kDescriptorsNeeded) {
        return tl::unexpected("only " + std::to_string(free) +
                              " file descriptors are left; raise the limit (ulimit -n)");
    }
    if (auto lack = lack_of_threads(kZmqThreads)) return tl::unexpected(std::move(*lack));
    std::string address;
    if (bootstrap.host_identity != host_identity()) {
        if (bootstrap.ports.empty()) {
            return tl::unexpected<std::string>(
                "this rank runs on another host than its parent, which listens on this host's sockets only; "
                "name the hosts, so that the parent listens on tcp");
        }
        address =
            reach == Reach::whenever && !bootstrap.addresses.empty()
                ? bootstrap.addresses.front()
                : reachable_address(bootstrap.addresses, bootstrap.ports.at(static_cast<std::size_t>(channels.front())),
                                    reach_timeout);
        if (address.empty()) {
            std::string tried;
            for (const auto& candidate : bootstrap.addresses) tried += (tried.empty() ? "" : ", ") + candidate;
            return tl::unexpected("the parent does not answer at any of its addresses (" + tried +
                                  "); set the advertised address to one that this host reaches");
        }
    }
    const PeerCredentials credentials = role == PeerRole::shim ? PeerCredentials::derive(bootstrap.secret, role, rank)
                                                               : PeerCredentials{role, rank, bootstrap.secret};
    try {
        return std::make_unique<ZmqTransportClient>(loop, bootstrap, credentials, std::move(address), channels,
                                                    std::move(callbacks), reach);
    } catch (const std::exception& error) {
        return tl::unexpected(std::string("channels could not be opened: ") + error.what());
    }
}

}  // namespace rankexec
