// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/hub/peer_keys.hpp"

#include <charconv>
#include <cstring>

namespace rankexec::hub {

PeerKeys::PeerKeys(EventLoop& loop, zmq::context_t& context)
    : handler_(
          loop, context, [this](const ZapRequest& request) { return user_id_of(request); },
          "a connection with a key that the hub does not know") {}

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

std::string PeerKeys::user_id_of(const ZapRequest& request) const {
    Key key{};
    if (request.mechanism != "CURVE" || request.credentials.size() != 1 ||
        request.credentials[0].size() != key.size()) {
        return {};
    }
    std::memcpy(key.data(), request.credentials[0].data(), key.size());
    const std::lock_guard lock(mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return {};
    return std::to_string(by_peer_.find(found->second)->second.ticket) + " " + found->second;
}

}  // namespace rankexec::hub
