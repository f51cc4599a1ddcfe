// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/authenticator.hpp"

#include <sodium.h>

#include <charconv>

namespace rankexec {
namespace {

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
    : run_secret_(run_secret), world_size_(world_size) {
    for (const auto role : {PeerRole::rank, PeerRole::shim}) {
        for (int rank = 0; curve && rank < world_size; ++rank) {
            const auto key = PeerCredentials::derive(run_secret_, role, rank).curve_keys().public_key;
            keys_[static_cast<std::size_t>(role)].emplace(
                std::string(reinterpret_cast<const char*>(key.data()), key.size()), rank);
        }
    }
    handler_.emplace(
        loop, context,
        [this](const ZapRequest& request) {
            const auto peer = check(request);
            return peer ? peer->to_user_id() : std::string();
        },
        "a connection without this run's credentials");
}

std::optional<AuthenticatedPeer> Authenticator::check(const ZapRequest& request) const {
    AuthenticatedPeer peer;
    if (request.domain == "shim") {
        peer.role = PeerRole::shim;
    } else if (request.domain != "rank") {
        return std::nullopt;
    }
    const auto& address = request.address;
    const auto& credentials = request.credentials;
    peer.tcp = address.find('.') != std::string_view::npos || address.find("::") != std::string_view::npos;
    if (request.mechanism == "PLAIN" && credentials.size() == 2 && !peer.tcp) {
        const auto user = credentials[0];
        if (!user.starts_with(std::string(to_string(peer.role)) + "-")) return std::nullopt;
        const auto rank = rank_in(user.substr(5), world_size_);
        if (!rank) return std::nullopt;
        const auto expected = PeerCredentials::derive(run_secret_, peer.role, *rank).password();
        if (!equal_secret(expected, credentials[1])) return std::nullopt;
        peer.rank = *rank;
        return peer;
    }
    if (request.mechanism == "CURVE" && credentials.size() == 1) {
        const auto& keys = keys_[static_cast<std::size_t>(peer.role)];
        const auto found = keys.find(std::string(credentials[0]));
        if (found == keys.end()) return std::nullopt;
        peer.rank = found->second;
        peer.curve = true;
        return peer;
    }
    return std::nullopt;
}

}  // namespace rankexec
