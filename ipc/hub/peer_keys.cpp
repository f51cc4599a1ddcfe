// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/hub/peer_keys.hpp"

#include <charconv>
#include <cstring>
#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec::hub {
namespace {

/// Frames of a ZAP request behind the envelope: version, request id, domain, address, identity, mechanism, credentials.
constexpr std::size_t kVersion = 0;
constexpr std::size_t kRequestId = 1;
constexpr std::size_t kMechanism = 5;
constexpr std::size_t kCredentials = 6;

std::string_view text_of(const zmq::message_t& part) { return {static_cast<const char*>(part.data()), part.size()}; }

}  // namespace

PeerKeys::PeerKeys(EventLoop& loop, zmq::context_t& context) : socket_(context, zmq::socket_type::router) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.bind("inproc://zeromq.zap.01");
    watch_ = std::make_unique<SocketWatch>(
        loop, socket_, [this](std::vector<zmq::message_t>&& request) { answer(std::move(request)); });
}

bool PeerKeys::allow(const std::string& peer, const Key& key) {
    const std::lock_guard lock(mutex_);
    if (const auto found = by_peer_.find(peer); found != by_peer_.end()) {
        if (found->second.key == key) return false;
        by_key_.erase(found->second.key);
    }
    if (const auto other = by_key_.find(key); other != by_key_.end()) by_peer_.erase(other->second);
    by_peer_[peer] = {key, ++tickets_};
    by_key_[key] = peer;
    return true;
}

void PeerKeys::forbid(const std::string& peer) {
    const std::lock_guard lock(mutex_);
    const auto found = by_peer_.find(peer);
    if (found == by_peer_.end()) return;
    by_key_.erase(found->second.key);
    by_peer_.erase(found);
}

bool PeerKeys::known(const std::string& peer) const {
    const std::lock_guard lock(mutex_);
    return by_peer_.contains(peer);
}

std::optional<PeerKeys::Grant> PeerKeys::holder(std::string_view user_id) const {
    const auto space = user_id.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    std::uint64_t ticket = 0;
    std::from_chars(user_id.data(), user_id.data() + space, ticket);
    const std::lock_guard lock(mutex_);
    const auto found = by_peer_.find(user_id.substr(space + 1));
    if (found == by_peer_.end() || found->second.ticket != ticket) return std::nullopt;
    return Grant{found->first, ticket};
}

std::uint64_t PeerKeys::refused() const {
    const std::lock_guard lock(mutex_);
    return refused_;
}

std::string PeerKeys::user_id_of(const std::vector<zmq::message_t>& request) const {
    Key key{};
    if (request.size() != kCredentials + 1 || text_of(request[kVersion]) != "1.0" ||
        text_of(request[kMechanism]) != "CURVE" || request[kCredentials].size() != key.size()) {
        return {};
    }
    std::memcpy(key.data(), request[kCredentials].data(), key.size());
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return {};
    return std::to_string(by_peer_.find(found->second)->second.ticket) + " " + found->second;
}

void PeerKeys::answer(std::vector<zmq::message_t>&& request) {
    // ROUTER puts the requester's routing id and REQ's empty delimiter in front.
    std::vector<zmq::message_t> route;
    while (!request.empty()) {
        route.push_back(std::move(request.front()));
        request.erase(request.begin());
        if (route.back().empty()) break;
    }
    if (request.size() <= kRequestId) return;
    std::string user_id;
    std::uint64_t refused = 0;
    {
        const std::lock_guard lock(mutex_);
        user_id = user_id_of(request);
        if (user_id.empty()) refused = ++refused_;
    }
    // A stranger who tries and tries shall not fill the disk.
    if (refused != 0 && (refused & (refused - 1)) == 0) {
        log::warning("the hub refused a connection with a key that it does not know (" + std::to_string(refused) +
                     " so far)");
    }
    const auto send = [&](std::string_view text, bool more = true) {
        socket_.send(zmq::message_t(text.data(), text.size()),
                     (more ? zmq::send_flags::sndmore : zmq::send_flags::none) | zmq::send_flags::dontwait);
    };
    for (auto& part : route) socket_.send(part, zmq::send_flags::sndmore | zmq::send_flags::dontwait);
    send("1.0");
    send(text_of(request[kRequestId]));
    send(user_id.empty() ? "400" : "200");
    send(user_id.empty() ? "no such key" : "");
    send(user_id);
    send("", false);
}

}  // namespace rankexec::hub
