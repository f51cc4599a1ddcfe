// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include <zmq.hpp>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/transport/credentials.hpp"
#include "rankexec/ipc/transport/zap_handler.hpp"

namespace rankexec::hub {

/// Which peer has which CURVE key; lets exactly those into one ZeroMQ context. Must exist before another socket of the
/// context is bound. Its member functions may be called from any thread; the handler lives on one EventLoop.
class PeerKeys {
public:
    using Key = PeerCredentials::Key;
    /// A key that was given to a peer. The ticket tells one giving from the next.
    struct Grant {
        std::string peer;
        std::uint64_t ticket = 0;
        friend bool operator==(const Grant&, const Grant&) = default;
    };

    PeerKeys(EventLoop& loop, zmq::context_t& context);

    /// False when the peer has that very key already. A key has one peer: the last it was given to.
    bool allow(const std::string& peer, const Key& key);
    void forbid(const std::string& peer);
    [[nodiscard]] bool known(const std::string& peer) const;
    /// Whose connection a User-Id is that ZeroMQ has put on a message; nothing when its grant has ended.
    [[nodiscard]] std::optional<Grant> holder(std::string_view user_id) const;
    /// Handshakes that were refused.
    [[nodiscard]] std::uint64_t refused() const noexcept { return handler_.refused(); }

private:
    struct Entry {
        Key key{};
        std::uint64_t ticket = 0;
    };
    [[nodiscard]] std::string user_id_of(const ZapRequest& request) const;

    mutable std::mutex mutex_;
    std::map<std::string, Entry, std::less<>> by_peer_;
    std::map<Key, std::string> by_key_;
    std::uint64_t tickets_ = 0;
    ZapHandler handler_;
};

}  // namespace rankexec::hub
