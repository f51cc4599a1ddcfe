// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/authenticator.hpp"

#include <sodium.h>

#include <charconv>
#include <vector>

#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

/// Frames of a ZAP request behind REQ's or DEALER's envelope: version, request id, domain, address,
/// identity, mechanism, credentials...
constexpr std::size_t kVersion = 0;
constexpr std::size_t kRequestId = 1;
constexpr std::size_t kDomain = 2;
constexpr std::size_t kAddress = 3;
constexpr std::size_t kMechanism = 5;
constexpr std::size_t kCredentials = 6;

std::string_view text_of(const zmq::message_t& part) { return {static_cast<const char*>(part.data()), part.size()}; }

std::optional<int> rank_in(std::string_view text, int world_size) {
    int rank = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rank);
    if (error != std::errc() || end != text.data() + text.size() || rank < 0 || rank >= world_size) return std::nullopt;
    return rank;
}

bool equal_secret(std::string_view left, std::string_view right) {
    return left.size() == right.size() && sodium_memcmp(left.data(), right.data(), left.size()) == 0;
}

}  // namespace

std::string AuthenticatedPeer::to_user_id() const {
    return std::string(to_string(role)) + "-" + std::to_string(rank) + (curve ? "+curve" : "+plain") +
           (tcp ? "+tcp" : "+ipc");
}

std::optional<AuthenticatedPeer> AuthenticatedPeer::from_user_id(std::string_view text) {
    AuthenticatedPeer peer;
    if (text.starts_with("shim-")) {
        peer.role = PeerRole::shim;
    } else if (!text.starts_with("rank-")) {
        return std::nullopt;
    }
    text.remove_prefix(5);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), peer.rank);
    if (error != std::errc()) return std::nullopt;
    const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
    peer.curve = rest.starts_with("+curve");
    peer.tcp = rest.ends_with("+tcp");
    return peer;
}

Authenticator::Authenticator(EventLoop& loop, zmq::context_t& context, const Secret& run_secret, int world_size,
                             bool curve)
    : run_secret_(run_secret), world_size_(world_size), socket_(context, zmq::socket_type::router) {
    for (const auto role : {PeerRole::rank, PeerRole::shim}) {
        for (int rank = 0; curve && rank < world_size; ++rank) {
            const auto key = PeerCredentials::derive(run_secret_, role, rank).curve_keys().public_key;
            keys_[static_cast<std::size_t>(role)].emplace(
                std::string(reinterpret_cast<const char*>(key.data()), key.size()), rank);
        }
    }
    socket_.set(zmq::sockopt::linger, 0);
    socket_.bind("inproc://zeromq.zap.01");
    watch_ = std::make_unique<SocketWatch>(
        loop, socket_, [this](std::vector<zmq::message_t>&& request) { answer(std::move(request)); });
}

std::optional<AuthenticatedPeer> Authenticator::check(const std::vector<zmq::message_t>& request) const {
    if (request.size() <= kMechanism || text_of(request[kVersion]) != "1.0") return std::nullopt;
    AuthenticatedPeer peer;
    const auto domain = text_of(request[kDomain]);
    if (domain == "shim") {
        peer.role = PeerRole::shim;
    } else if (domain != "rank") {
        return std::nullopt;
    }
    // libzmq gives a numeric address for tcp, and uid:gid:pid or nothing for ipc.
    const auto address = text_of(request[kAddress]);
    peer.tcp = address.find('.') != std::string_view::npos || address.find("::") != std::string_view::npos;
    const auto mechanism = text_of(request[kMechanism]);
    if (mechanism == "PLAIN" && request.size() == kCredentials + 2 && !peer.tcp) {
        const auto user = text_of(request[kCredentials]);
        if (!user.starts_with(std::string(to_string(peer.role)) + "-")) return std::nullopt;
        const auto rank = rank_in(user.substr(5), world_size_);
        if (!rank) return std::nullopt;
        const auto expected = PeerCredentials::derive(run_secret_, peer.role, *rank).password();
        if (!equal_secret(expected, text_of(request[kCredentials + 1]))) return std::nullopt;
        peer.rank = *rank;
        return peer;
    }
    if (mechanism == "CURVE" && request.size() == kCredentials + 1) {
        const auto& keys = keys_[static_cast<std::size_t>(peer.role)];
        const auto found = keys.find(std::string(text_of(request[kCredentials])));
        if (found == keys.end()) return std::nullopt;
        peer.rank = found->second;
        peer.curve = true;
        return peer;
    }
    return std::nullopt;
}

void Authenticator::answer(std::vector<zmq::message_t>&& request) {
    // ROUTER puts the requester's routing id and REQ's empty delimiter in front.
    std::vector<zmq::message_t> route;
    while (!request.empty()) {
        route.push_back(std::move(request.front()));
        request.erase(request.begin());
        if (route.back().empty()) break;
    }
    if (request.size() <= kRequestId) return;
    const auto peer = check(request);
    if (!peer) {
        ++refused_;
        // A stranger who tries and tries shall not fill the disk.
        if ((refused_ & (refused_ - 1)) == 0) {
            log::warning("refused a connection without this run's credentials (" + std::to_string(refused_) +
                         " so far)");
        }
    }
    const auto send = [&](std::string_view text, bool more = true) {
        socket_.send(zmq::message_t(text.data(), text.size()),
                     (more ? zmq::send_flags::sndmore : zmq::send_flags::none) | zmq::send_flags::dontwait);
    };
    for (auto& part : route) socket_.send(part, zmq::send_flags::sndmore | zmq::send_flags::dontwait);
    send("1.0");
    send(text_of(request[kRequestId]));
    send(peer ? "200" : "400");
    send(peer ? "" : "no such peer");
    send(peer ? peer->to_user_id() : "");
    send("", false);
}

}  // namespace rankexec
