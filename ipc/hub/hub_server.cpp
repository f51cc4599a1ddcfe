// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

#include <zmq.hpp>

#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/resources.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/core/system/within_a_moment.hpp"
#include "rankexec/ipc/hub/end_thread.hpp"
#include "rankexec/ipc/hub/hub.hpp"
#include "rankexec/ipc/hub/peer.hpp"
#include "rankexec/ipc/hub/peer_keys.hpp"
#include "rankexec/ipc/hub/socket_monitor.hpp"
#include "rankexec/ipc/pipe/pipe_codec.hpp"

namespace rankexec::hub {
namespace {

/// ZeroMQ aborts the process when it cannot create a descriptor: per context some eight, per socket and listener one
/// or two; connections come on top.
constexpr std::size_t kDescriptorsNeeded = 48;
constexpr int kBacklog = 1024;
/// Messages to one connection that wait in ZeroMQ, and from one that nobody has looked at.
constexpr int kMostQueued = 4096;
constexpr int kMostUnread = 256;
constexpr int kLingerMilliseconds = 500;
/// Connections of a user, and processes that wait for another one's to end.
constexpr std::size_t kMostSessions = 64;
constexpr std::size_t kMostWaiting = 4;
/// A connection's end is told before its route is gone.
constexpr std::chrono::milliseconds kRouteGone{20};

constexpr int kEvents = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_ACCEPT_FAILED | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                        ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;

bool is_user(std::string_view peer) { return peer.starts_with("user/"); }

/// "run/JOB/" of a run's name; empty for others.
std::string_view job_of(std::string_view peer) {
    if (!peer.starts_with("run/")) return {};
    const auto slash = peer.find('/', 4);
    return slash == std::string_view::npos ? std::string_view() : peer.substr(0, slash + 1);
}

bool runs_of_one_job(const std::string& from, const std::string& to) {
    return !job_of(from).empty() && job_of(from) == job_of(to);
}

/// What ZeroMQ leaves behind where it has listened.
struct SocketFile {
    std::string path;
    ino_t inode = 0;

    static std::optional<SocketFile> of(const std::string& endpoint) {
        constexpr std::string_view kScheme = "ipc://";
        struct stat status {};
        if (!endpoint.starts_with(kScheme) || ::stat(endpoint.c_str() + kScheme.size(), &status) != 0) {
            return std::nullopt;
        }
        return SocketFile{endpoint.substr(kScheme.size()), status.st_ino};
    }
    /// Not when another hub listens there by now.
    void remove() const {
        struct stat status {};
        if (::stat(path.c_str(), &status) == 0 && status.st_ino == inode) ::unlink(path.c_str());
    }
};

/// ZeroMQ takes a socket's file away from whoever listens there, who would never hear of anybody again.
bool somebody_listens(const std::string& endpoint) {
    constexpr std::string_view kScheme = "ipc://";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (!endpoint.starts_with(kScheme)) return false;
    const auto path = endpoint.substr(kScheme.size());
    if (path.empty() || path.size() >= sizeof(address.sun_path)) return false;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    const UniqueFd attempt(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!attempt.valid()) return false;
    // EAGAIN: its queue is full.
    return ::connect(attempt.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
           errno == EAGAIN;
}

/// ZeroMQ takes the port modulo 65536.
bool has_impossible_port(const std::string& endpoint) {
    const auto port = endpoint.substr(endpoint.rfind(':') + 1);
    if (!endpoint.starts_with("tcp://") || port.empty()) return false;
    if (port.find_first_not_of("0123456789") != std::string::npos) return false;
    return port.size() > 5 || std::stoi(port) > 65'535;
}

class Server final : public HubServer {
public:
    explicit Server(Options options)
        : options_(std::move(options)),
          session_(random_run_id()),
          keys_(thread_.loop(), context_),
          socket_(context_, zmq::socket_type::router) {
        if (!options_.may_relay) options_.may_relay = runs_of_one_job;
        set_common_options(socket_, kPartBytes + kCurveBytes);
        socket_.set(zmq::sockopt::sndhwm, kMostQueued);
        socket_.set(zmq::sockopt::rcvhwm, kMostUnread);
        socket_.set(zmq::sockopt::linger, kLingerMilliseconds);
        socket_.set(zmq::sockopt::router_mandatory, true);
        socket_.set(zmq::sockopt::backlog, kBacklog);
        socket_.set(zmq::sockopt::zap_domain, std::string("hub"));
        socket_.set(zmq::sockopt::curve_server, true);
        // No heartbeats of its own: libzmq (4.3.4, stream_engine_base.cpp) aborts when it is to send one on a
        // connection that has ended while the limit above held its input back. Clients have them, and say after which
        // silence theirs is lost; the kernel does for those whose host is gone.
        set_keepalive(socket_);
        socket_.set(zmq::sockopt::tcp_maxrt, static_cast<int>(options_.gone_after.count()));
        const auto& secret = options_.keys.secret_key;
        if (zmq_setsockopt(socket_.handle(), ZMQ_CURVE_SECRETKEY, secret.data(), secret.size()) != 0) {
            throw zmq::error_t();
        }
        monitor_.emplace(thread_.loop(), context_, socket_, "hub-monitor", kEvents,
                         [this](std::uint16_t event, std::uint32_t value) { on_event(event, value); });
        watch_.emplace(thread_.loop(), socket_,
                       [this](std::vector<zmq::message_t>&& parts) { receive(std::move(parts)); });
    }

    ~Server() override { close(); }

    /// Throws zmq::error_t.
    void listen(const std::string& endpoint) {
        socket_.bind(endpoint);
        endpoints_.push_back(socket_.get(zmq::sockopt::last_endpoint));
        if (const auto file = SocketFile::of(endpoints_.back())) files_.push_back(*file);
    }

    // ---- any thread ----

    void handle(const std::string& topic, Handler handler) override { handlers_.add(topic, std::move(handler)); }

    void request(const std::string& to, const std::string& topic, Shareable content, Milliseconds timeout,
                 OnReply on_reply) override {
        auto reply = reading(std::move(on_reply), options_.limits);
        auto body = encode_body(topic, content, options_.limits);
        if (!body) {
            const auto refused = no_reply(ReturnCode::bad_request_data, body.error());
            if (!thread_.post([reply, refused] { reply(RawReply(refused)); })) reply(end_closed());
            return;
        }
        const auto question = Hop::Question{topic, std::move(*body), deadline_after(timeout),
                                            [this, to, topic, timeout] { return too_late(to, topic, timeout); }, reply};
        if (!thread_.post([this, to, question] { ask(to, {kHubName, random_run_id()}, question); })) {
            reply(end_closed());
        }
    }

    void tell(const std::string& to, const std::string& topic, Shareable content) override {
        auto body = encode_body(topic, content, options_.limits);
        if (!body) return log::error("not told to " + to + ": " + body.error());
        thread_.post([this, to, topic, body = std::move(*body)] {
            pass_on(to, {MessageType::tell, kHubName, random_run_id(), topic, 0}, body);
        });
    }

    void post(std::function<void()> work) override {
        thread_.post([work = std::move(work)] { guarded("posted work", work); });
    }

    void start() override {
        thread_.post([this] { tick(); });
        thread_.start();
    }

    void close() override {
        thread_.stop([this] {
            for (const auto& [route, connection] : connections_) (void)send(route, bare(MessageType::bye), nullptr);
            for (auto& [name, peer] : peers_) peer.hop.fail_all(end_closed());
            watch_.reset();
            monitor_.reset();
            socket_.close();
            for (const auto& file : files_) file.remove();
            const std::lock_guard lock(mutex_);
            connected_.clear();
        });
    }

    [[nodiscard]] std::vector<std::string> endpoints() const override { return endpoints_; }

    void allow(const std::string& peer, const PublicKey& key) override {
        if (const auto error = peer_name_error(peer); !error.empty()) throw std::invalid_argument("allow: " + error);
        if (peer == kHubName) throw std::invalid_argument("allow: a peer cannot have the hub's own name");
        if (keys_.allow(peer, key)) thread_.post([this] { drop_ended_grants("its key was replaced"); });
    }

    void forbid(const std::string& peer) override {
        keys_.forbid(peer);
        thread_.post([this] { drop_ended_grants("it is not allowed any more"); });
    }

    [[nodiscard]] bool connected(const std::string& peer) const override {
        const std::lock_guard lock(mutex_);
        return connected_.contains(peer);
    }

    [[nodiscard]] std::vector<std::string> peers() const override {
        const std::lock_guard lock(mutex_);
        return {connected_.begin(), connected_.end()};
    }

    [[nodiscard]] std::uint64_t refused() const override { return keys_.refused() + refused_; }

private:
    static RawReply end_closed() { return no_reply(ReturnCode::task_aborted, "this end of the hub was closed"); }

    // ---- everything from here on is on the loop's thread ----

    Peer* find(const std::string& name) {
        const auto found = peers_.find(name);
        return found != peers_.end() ? &found->second : nullptr;
    }

    using Sent = Hop::Sent;

    Sent put(const std::string& route, const Envelope& envelope, const Body& body) {
        if (!watch_) return Sent::gone;
        watch_->touched();
        std::vector<wire::Frame> parts{{std::as_bytes(std::span(route)), nullptr}, encode_envelope(envelope)};
        if (body) parts.insert(parts.end(), body->begin(), body->end());
        try {
            return send_parts(socket_, parts) ? Sent::yes : Sent::full;
        } catch (const zmq::error_t& error) {
            // ROUTER_MANDATORY: that connection is gone.
            log::debug("hub: " + std::string(error.what()));
            return Sent::gone;
        }
    }

    bool send(const std::string& route, const Envelope& envelope, const Body& body) {
        return put(route, envelope, body) == Sent::yes;
    }

    Sent put(const Peer& peer, const std::string& session, const Envelope& envelope, const Body& body) {
        const auto found = peer.sessions.find(session);
        return found != peer.sessions.end() ? put(found->second, envelope, body) : Sent::gone;
    }

    // -- requests

    RawReply too_late(const std::string& to, const std::string& topic, Milliseconds timeout) {
        const auto* const peer = find(to);
        return no_reply(ReturnCode::task_timeout,
                        to + " has not answered " + topic + " within " + std::to_string(timeout.count()) + " ms" +
                            (peer == nullptr || peer->sessions.empty() ? "; it is not connected" : ""));
    }

    void ask(const std::string& to, const Hop::Key& key, const Hop::Question& question) {
        auto* const peer = find(to);
        if (peer == nullptr || peer->sessions.empty()) {
            return question.on_reply(no_reply(ReturnCode::not_ready, to + " is not connected"));
        }
        peer->hop.ask(key, question);
    }

    void pass_on(const std::string& to, const Envelope& envelope, const Body& body) {
        const auto* const peer = find(to);
        if (peer == nullptr || !peer->hop.target()) return;
        if (put(*peer, *peer->hop.target(), envelope, body) != Sent::yes)
            log::debug("hub: a message to " + to + " was dropped");
    }

    void answer(const std::string& asker, const Hop::Key& key, RawReply&& reply) {
        if (auto* const peer = find(asker)) peer->hop.answer(key, std::move(reply));
    }

    void on_request(Peer& peer, const std::string& session, const Envelope& envelope, const Body& body) {
        const Hop::Key key{envelope.peer, envelope.id};
        const auto deadline = deadline_of(envelope);
        switch (peer.hop.asked(key, session, size_of(body), deadline)) {
            case Hop::Asked::known: return;
            case Hop::Asked::full: {
                ++refused_;
                const auto why = no_reply(ReturnCode::bad_request_data,
                                          "too many requests are under way, or too large ones; wait for replies");
                (void)put(peer, session,
                          {MessageType::reply, key.first, key.second, {}, static_cast<std::int64_t>(why.code)},
                          why.body);
                return;
            }
            case Hop::Asked::fresh: break;
        }
        if (key.first == kHubName) return handle_here(peer.name, key, envelope.topic, body);
        relay(peer, key, envelope, body, deadline);
    }

    void handle_here(const std::string& from, const Hop::Key& key, const std::string& topic, const Body& body) {
        handlers_.handle(
            from, topic, body, options_.limits, [this, gate = thread_.gate(), from, key](RawReply&& reply) {
                gate->post([this, from, key, reply = std::move(reply)] { answer(from, key, RawReply(reply)); });
            });
    }

    void relay(Peer& from, const Hop::Key& key, const Envelope& envelope, const Body& body,
               Hop::Clock::time_point deadline) {
        const auto& to = key.first;
        if (!options_.may_relay(from.name, to)) {
            ++refused_;
            return from.hop.answer(key, no_reply(ReturnCode::bad_request_data, from.name + " may not speak to " + to));
        }
        const Milliseconds timeout(envelope.number);
        ask(to, {from.name, key.second},
            {envelope.topic, body, deadline,
             [this, to, topic = envelope.topic, timeout] { return too_late(to, topic, timeout); },
             [this, asker = from.name, key](RawReply&& reply) { answer(asker, key, std::move(reply)); }});
    }

    void on_tell(const Peer& peer, const Envelope& envelope, const Body& body) {
        if (envelope.peer == kHubName) {
            return handlers_.handle(peer.name, envelope.topic, body, options_.limits, [](RawReply&&) {});
        }
        if (options_.may_relay(peer.name, envelope.peer)) {
            return pass_on(envelope.peer, {MessageType::tell, peer.name, envelope.id, envelope.topic, 0}, body);
        }
        ++refused_;
    }

    void on_reply(Peer& peer, const std::string& session, const Envelope& envelope, const Body& body) {
        const Hop::Key key{envelope.peer, envelope.id};
        const bool awaited = peer.hop.replied(key, {return_code_from(envelope.number).value(), body});
        // Of a relayed request the one who asked says that it has come. An answer to what nobody here has asked may be
        // wanted by somebody who asked an earlier process of this hub and is not back yet.
        const auto* const asker = key.first == kHubName || awaited ? nullptr : find(key.first);
        const bool fetched = asker != nullptr && asker->hop.over({peer.name, key.second});
        if (key.first != kHubName && !fetched) return;
        (void)put(peer, session, {MessageType::got, key.first, key.second, {}, 0}, nullptr);
    }

    void on_got(Peer& peer, const Envelope& envelope) {
        peer.hop.got({envelope.peer, envelope.id});
        if (envelope.peer == kHubName || !options_.may_relay(peer.name, envelope.peer)) return;
        pass_on(envelope.peer, {MessageType::got, peer.name, envelope.id, {}, 0}, nullptr);
    }

    // -- connections

    void receive(std::vector<zmq::message_t>&& parts) {
        if (parts.size() < 2) return;
        auto route = parts[0].to_string();
        const auto envelope = decode_envelope(to_frame_view(parts[1]));
        if (!envelope) {
            ++refused_;
            if (envelope.error().other_version) refuse(route, Refusal::version);
            return;
        }
        if (envelope->type == MessageType::hello) {
            const char* const user = zmq_msg_gets(parts[1].handle(), "User-Id");
            return on_hello(route, user != nullptr ? user : "", *envelope);
        }
        const auto found = connections_.find(route);
        if (found == connections_.end()) {
            // Of a peer that is not allowed any more, or waits for its place.
            ++refused_;
            return;
        }
        const auto connection = found->second;
        auto content = std::make_shared<std::vector<wire::Frame>>();
        content->reserve(parts.size() - 2);
        for (std::size_t part = 2; part < parts.size(); ++part) content->push_back(to_frame(std::move(parts[part])));
        on_message(connection, *envelope, content);
    }

    static std::span<const std::byte> to_frame_view(const zmq::message_t& part) {
        return {static_cast<const std::byte*>(part.data()), part.size()};
    }

    void on_message(const Connection& connection, const Envelope& envelope, const Body& body) {
        auto& peer = peers_.at(connection.peer);
        switch (envelope.type) {
            case MessageType::request: return on_request(peer, connection.session, envelope, body);
            case MessageType::reply: return on_reply(peer, connection.session, envelope, body);
            case MessageType::got: return on_got(peer, envelope);
            case MessageType::tell: return on_tell(peer, envelope, body);
            case MessageType::bye: return lose(connection, "it has closed");
            default: ++refused_;
        }
    }

    void refuse(const std::string& route, Refusal why) {
        (void)send(route, bare(MessageType::refused, static_cast<std::int64_t>(why)), nullptr);
    }

    void on_hello(const std::string& route, std::string_view user_id, const Envelope& hello) {
        const auto grant = keys_.holder(user_id);
        if (!grant) {
            ++refused_;
            return refuse(route, Refusal::unknown);
        }
        // A grant that is newer than what is known of the peer is told of by work that is on its way here.
        if (const auto* const known = find(grant->peer); known != nullptr && known->ticket != grant->ticket) {
            drop_ended_grants("its key was replaced");
        }
        auto& peer = peer_of(*grant);
        const bool room = is_user(peer.name) ? peer.sessions.size() < kMostSessions : peer.sessions.empty();
        if (!peer.sessions.contains(hello.id) && !room && alive(peer)) {
            ++refused_;
            std::erase_if(peer.waiting, [&](const auto& waiting) { return waiting.session == hello.id; });
            if (peer.waiting.size() == kMostWaiting) peer.waiting.pop_front();
            peer.waiting.push_back({hello.id, route, hello.number});
            return refuse(route, Refusal::occupied);
        }
        (void)admit(peer, {hello.id, route, hello.number});
    }

    Peer& peer_of(const PeerKeys::Grant& grant) {
        if (auto* const known = find(grant.peer)) return *known;
        const auto send_to = [this, name = grant.peer](const std::string& session, const Envelope& envelope,
                                                       const Body& body) {
            const auto* const peer = find(name);
            return peer != nullptr ? put(*peer, session, envelope, body) : Sent::gone;
        };
        return peers_
            .try_emplace(grant.peer, grant.peer, grant.ticket, thread_.loop(), options_.limits.message_bytes, send_to)
            .first->second;
    }

    /// Whether there still is a connection of it, having asked each.
    bool alive(Peer& peer) {
        for (const auto& [session, route] : std::map(peer.sessions)) probe({peer.name, session}, route);
        return !peer.sessions.empty();
    }

    void probe(const Connection& connection, const std::string& route) {
        if (put(route, bare(MessageType::probe), nullptr) == Sent::gone) lose(connection, "its connection is lost");
    }

    bool admit(Peer& peer, const Peer::Waiting& process) {
        if (const auto known = peer.sessions.find(process.session); known != peer.sessions.end()) {
            connections_.erase(known->second);
        }
        const bool first = peer.sessions.empty();
        if (!send(process.route, {MessageType::welcome, peer.name, session_, {}, process.number}, nullptr)) {
            return false;
        }
        peer.sessions[process.session] = process.route;
        connections_[process.route] = {peer.name, process.session};
        peer.hop.set_target(process.session);
        if (first) {
            const std::lock_guard lock(mutex_);
            connected_.insert(peer.name);
        }
        peer.hop.connected(process.session);
        if (first && options_.on_connected) {
            guarded("a connection", [&] { options_.on_connected(peer.name); });
        }
        return true;
    }

    void lose(const Connection& connection, const std::string& why) {
        auto& peer = peers_.at(connection.peer);
        const auto found = peer.sessions.find(connection.session);
        if (found == peer.sessions.end()) return;
        connections_.erase(found->second);
        peer.sessions.erase(found);
        if (!peer.sessions.empty()) {
            if (peer.hop.target() == connection.session) peer.hop.set_target(peer.sessions.begin()->first);
            return;
        }
        gone(peer, why);
        while (!peer.waiting.empty()) {
            const auto next = peer.waiting.front();
            peer.waiting.pop_front();
            if (admit(peer, next)) return;
        }
    }

    void gone(Peer& peer, const std::string& why) {
        peer.hop.set_target(std::nullopt);
        {
            const std::lock_guard lock(mutex_);
            connected_.erase(peer.name);
        }
        if (options_.on_lost) {
            guarded("a lost connection", [&] { options_.on_lost(peer.name, why); });
        }
    }

    /// Peers whose key is not theirs any more.
    void drop_ended_grants(const std::string& why) {
        std::vector<std::string> ended;
        for (const auto& [name, peer] : peers_) {
            const auto user_id = std::to_string(peer.ticket) + " " + name;
            if (!keys_.holder(user_id)) ended.push_back(name);
        }
        for (const auto& name : ended) {
            auto& peer = peers_.at(name);
            for (const auto& [session, route] : peer.sessions) {
                refuse(route, Refusal::unknown);
                connections_.erase(route);
            }
            for (const auto& waiting : peer.waiting) refuse(waiting.route, Refusal::unknown);
            if (!std::exchange(peer.sessions, {}).empty()) gone(peer, why);
            peer.hop.fail_all(no_reply(ReturnCode::not_ready, name + " is not connected: " + why));
            peers_.erase(name);
        }
    }

    void on_event(std::uint16_t event, std::uint32_t value) {
        if (event == ZMQ_EVENT_DISCONNECTED) {
            probe_all();
            if (!std::exchange(probing_, true)) {
                thread_.loop().call_after(kRouteGone, [this] {
                    probing_ = false;
                    probe_all();
                });
            }
            return;
        }
        const auto error = static_cast<int>(value);
        // What hangs up by itself during the handshake is none.
        if (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL && (error == EPIPE || error == ECONNRESET)) return;
        ++refused_;
    }

    void probe_all() {
        if (!watch_) return;  // closed, and this was the timer's turn
        // Has ZeroMQ look at what its threads have told it.
        (void)socket_.get(zmq::sockopt::events);
        watch_->touched();
        for (const auto& [route, connection] : std::map(connections_)) probe(connection, route);
    }

    void tick() {
        probe_all();
        for (auto& [name, peer] : peers_) peer.hop.sweep();
        thread_.loop().call_after(options_.heartbeat_interval, [this] { tick(); });
    }

    Options options_;
    std::string session_;
    EndThread thread_;
    zmq::context_t context_;
    PeerKeys keys_;
    zmq::socket_t socket_;
    std::optional<SocketMonitor> monitor_;
    std::optional<SocketWatch> watch_;
    std::vector<std::string> endpoints_;
    std::vector<SocketFile> files_;
    Handlers handlers_;
    std::map<std::string, Peer> peers_;
    std::map<std::string, Connection> connections_;  ///< by route
    bool probing_ = false;
    std::atomic<std::uint64_t> refused_ = 0;  ///< beside the handshakes that the keys have refused
    mutable std::mutex mutex_;
    std::set<std::string> connected_;
};

}  // namespace

tl::expected<std::unique_ptr<HubServer>, Failure> HubServer::make(Options options) {
    const auto refused = [](const std::string& what) {
        return tl::unexpected(failure(ReturnCode::launch_error, "the hub cannot listen: " + what));
    };
    if (options.listen.empty()) return refused("no endpoint is given");
    if (const auto free = available_descriptors(); free < kDescriptorsNeeded) {
        return refused("only " + std::to_string(free) + " file descriptors are left; raise the limit (ulimit -n)");
    }
    if (const auto lack = lack_of_threads(kZmqThreads + 1)) return refused(*lack);
    try {
        const auto endpoints = options.listen;
        auto server = std::make_unique<Server>(std::move(options));
        for (const auto& endpoint : endpoints) {
            if (!endpoint.starts_with("tcp://") && !endpoint.starts_with("ipc://")) {
                return refused(endpoint + " is no endpoint; write tcp://ADDRESS:PORT or ipc://PATH");
            }
            if (has_impossible_port(endpoint)) return refused("at " + endpoint + ": ports go up to 65535");
            if (!within_a_moment([&] { return !somebody_listens(endpoint); })) {
                return refused("at " + endpoint +
                               ": another process listens there; end that one, or take another path");
            }
            try {
                server->listen(endpoint);
            } catch (const zmq::error_t& error) {
                return refused("at " + endpoint + ": " + error.what());
            }
        }
        return server;
    } catch (const std::exception& error) {
        return refused(error.what());
    }
}

}  // namespace rankexec::hub
