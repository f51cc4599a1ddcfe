// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/pipe/pipe_link.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec::pipe {
namespace {

/// Peers with credentials that wait for their turn; more are not remembered, and greet again when they connect again.
constexpr std::size_t kWaiting = 4;
constexpr std::chrono::milliseconds kLinger{200};
/// A route may outlive the news that its connection is lost, which comes from another thread. Each pause is twice the
/// one before.
constexpr std::chrono::milliseconds kFirstLook{5};
constexpr std::chrono::milliseconds kLastLook{10'000};
/// Messages that are kept for a greeting that is on the way; what is more is sent again by who wants an answer.
constexpr std::size_t kEarly = 64;

constexpr const char* kTurnedAway =
    "the other end closes connections before they are established; it has another key, or is somebody else";

ChannelKind channel_of(Lane lane) { return lane == Lane::messages ? ChannelKind::execution : ChannelKind::handler; }
std::optional<Lane> lane_of(ChannelKind kind) {
    if (kind == ChannelKind::execution) return Lane::messages;
    if (kind == ChannelKind::handler) return Lane::signs;
    return std::nullopt;
}
std::size_t index_of(Lane lane) { return static_cast<std::size_t>(lane); }

}  // namespace

// ---- the passive end --------------------------------------------------------------------------

tl::expected<std::unique_ptr<PassiveLink>, Failure> PassiveLink::open(EventLoop& loop,
                                                                      const TransportServer::Options& options,
                                                                      std::string session, Callbacks callbacks) {
    auto server = TransportServer::start(loop, options);
    if (!server) return tl::unexpected(server.error());
    return std::make_unique<PassiveLink>(loop, std::move(*server), std::move(session), std::move(callbacks));
}

PassiveLink::PassiveLink(EventLoop& loop, std::unique_ptr<TransportServer> server, std::string session,
                         Callbacks callbacks)
    : loop_(loop), server_(std::move(server)), session_(std::move(session)), callbacks_(std::move(callbacks)) {
    for (const auto lane : kLanes) {
        server_->on_message(channel_of(lane),
                            [this, lane](const PeerConnection& from, std::vector<wire::Frame>&& frames) {
                                on_message(lane, from.route, std::move(frames));
                            });
        server_->on_disconnect(channel_of(lane), [this] { on_disconnect(); });
    }
}

PassiveLink::~PassiveLink() { loop_.cancel(next_look_); }

bool PassiveLink::send(Lane lane, const std::vector<wire::Frame>& frames) {
    const auto& route = routes_[index_of(lane)];
    return !route.empty() && server_->send(channel_of(lane), route, frames);
}

void PassiveLink::on_message(Lane lane, const std::string& route, std::vector<wire::Frame>&& frames) {
    const auto envelope = decode_envelope(frames);
    if (!envelope) {
        // Whose it is cannot be told, but by the connection that it came on.
        if (route == routes_[index_of(lane)]) {
            callbacks_.on_bad(envelope.error());
        } else {
            ++rejected_;
        }
        return;
    }
    if (envelope->type == FrameType::hello) return on_hello(lane, route, envelope->session);
    if (envelope->session != peer_) return reject(lane, route);
    // On a connection that was lost and has not greeted again: it comes once more after the greeting.
    if (route != routes_[index_of(lane)]) return;
    callbacks_.on_frames(*envelope, std::move(frames));
}

void PassiveLink::reject(Lane lane, const std::string& route) {
    ++rejected_;
    (void)server_->send(channel_of(lane), route, to_frames(session_, FrameType::refused));
}

void PassiveLink::on_hello(Lane lane, const std::string& route, const std::string& session) {
    if (session != peer_) {
        if (!peer_.empty() && peer_lives()) {
            if (waiting_.contains(session) || waiting_.size() < kWaiting) waiting_[session][index_of(lane)] = route;
            return reject(lane, route);
        }
        if (!peer_.empty()) log::warning("a pipe's peer has gone, and another one has come");
        peer_ = session;
        routes_ = {};
        ready_ = false;
    }
    routes_[index_of(lane)] = route;
    (void)send(lane, to_frames(session_, FrameType::hello));
    if (std::ranges::any_of(routes_, &std::string::empty)) return;
    ready_ = true;
    callbacks_.on_ready();
}

bool PassiveLink::peer_lives() {
    // The server knows of a route whether its connection is up, but only when it is used. What is sent means nothing:
    // no message has that id.
    return std::ranges::all_of(kLanes, [this](Lane lane) {
        return routes_[index_of(lane)].empty() || send(lane, to_frames(session_, FrameType::taken, session_));
    });
}

void PassiveLink::on_disconnect() {
    pause_ = kFirstLook;
    look();
}

void PassiveLink::look() {
    loop_.cancel(next_look_);
    if (peer_.empty()) return;
    if (peer_lives()) {
        // It was somebody else's connection, or the route is still there: nothing else tells when it is not.
        if (pause_ > kLastLook) return;
        next_look_ = loop_.call_after(std::exchange(pause_, 2 * pause_), [this] { look(); });
        return;
    }
    ready_ = false;
    callbacks_.on_lost(false, "the connection to the peer is lost");
    admit_waiting();
}

void PassiveLink::forget_peer() {
    peer_.clear();
    routes_ = {};
    ready_ = false;
    admit_waiting();
}

void PassiveLink::admit_waiting() {
    for (const auto& [session, routes] : std::exchange(waiting_, {})) {
        for (const auto lane : kLanes) {
            if (!routes[index_of(lane)].empty()) on_hello(lane, routes[index_of(lane)], session);
        }
    }
}

// ---- the active end ---------------------------------------------------------------------------

tl::expected<std::unique_ptr<ActiveLink>, Failure> ActiveLink::open(EventLoop& loop, const Bootstrap& bootstrap,
                                                                    std::chrono::milliseconds timeout,
                                                                    std::string session, Callbacks callbacks,
                                                                    TransportClient::Reach reach) {
    const bool local = reach == TransportClient::Reach::now && bootstrap.host_identity == host_identity();
    std::unique_ptr<ActiveLink> link(new ActiveLink(std::move(session), std::move(callbacks), local));
    auto client =
        TransportClient::connect(loop, bootstrap, PeerRole::rank, 0, {ChannelKind::execution, ChannelKind::handler},
                                 link->client_callbacks(), timeout, reach);
    if (!client) {
        Failure failure;
        failure.code = ReturnCode::launch_error;
        failure.message = "ZeroMQ pipe: " + client.error();
        return tl::unexpected(std::move(failure));
    }
    link->client_ = std::move(*client);
    return link;
}

ActiveLink::~ActiveLink() {
    if (client_) client_->close(kLinger);
}

TransportClient::Callbacks ActiveLink::client_callbacks() {
    TransportClient::Callbacks callbacks;
    callbacks.on_connected = [this](ChannelKind kind) {
        client_->send(kind, to_frames(session_, FrameType::hello));
        if (const auto lane = lane_of(kind)) connected_[index_of(*lane)] = true;
    };
    callbacks.on_message = [this](ChannelKind kind, std::vector<wire::Frame>&& frames) {
        if (const auto lane = lane_of(kind)) on_message(*lane, std::move(frames));
    };
    callbacks.on_disconnected = [this](ChannelKind kind) {
        const auto lane = lane_of(kind);
        // CURVE tells a client with another key nothing else.
        const bool turned_away = lane && !connected_[index_of(*lane)];
        if (lane) {
            greeted_[index_of(*lane)] = connected_[index_of(*lane)] = false;
            turned_away_[index_of(*lane)] = turned_away;
        }
        fresh_ = {};
        early_.clear();
        callbacks_.on_lost(false, turned_away ? kTurnedAway : "the connection to the peer is lost");
    };
    callbacks.on_unreachable = [this](ChannelKind kind) {
        const auto lane = lane_of(kind);
        if (lane && std::exchange(turned_away_[index_of(*lane)], false)) return;
        // On one host nothing can be in between.
        callbacks_.on_lost(local_, "nobody listens at the other end, or not any more");
    };
    callbacks.on_refused = [this](ChannelKind, const std::string&) {
        callbacks_.on_lost(true, "the other end refused this pipe's credentials; they belong to another pipe");
    };
    return callbacks;
}

bool ActiveLink::send(Lane lane, const std::vector<wire::Frame>& frames) {
    // Our greeting goes before, so that the peer knows whose it is; its own may still be on the way on this lane.
    if (!connected_[index_of(lane)]) return false;
    client_->send(channel_of(lane), frames);
    return true;
}

void ActiveLink::on_message(Lane lane, std::vector<wire::Frame>&& frames) {
    const auto envelope = decode_envelope(frames);
    if (!envelope) return callbacks_.on_bad(envelope.error());
    if (envelope->type == FrameType::refused) {
        ++rejected_;
        callbacks_.on_lost(false, "the other end has another peer; this one waits until that has gone");
        return;
    }
    if (envelope->type == FrameType::hello) {
        // Another process of it, whose predecessor's connections are not all known to be lost.
        if (peer_ != envelope->session) {
            greeted_ = fresh_ = {};
            early_.clear();
        }
        peer_ = envelope->session;
        greeted_[index_of(lane)] = fresh_[index_of(lane)] = true;
        if (!ready()) return;
        auto early = std::exchange(early_, {});
        callbacks_.on_ready();
        for (auto& [of, held] : early) callbacks_.on_frames(of, std::move(held));
        return;
    }
    if (envelope->session != peer_) {
        ++rejected_;
        return;
    }
    if (!ready() && fresh_[index_of(lane)]) {
        if (early_.size() < kEarly) early_.emplace_back(*envelope, std::move(frames));
        return;
    }
    callbacks_.on_frames(*envelope, std::move(frames));
}

}  // namespace rankexec::pipe
