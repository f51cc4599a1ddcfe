// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include "rankexec/ipc/hub/hop.hpp"

namespace rankexec::hub {

/// A peer of a hub: what is under way with it, and its connections.
struct Peer {
    Peer(std::string its_name, std::uint64_t its_ticket, EventLoop& loop, std::size_t most_open_bytes, Hop::Send send)
        : name(std::move(its_name)), ticket(its_ticket), hop(loop, most_open_bytes, std::move(send)) {}

    std::string name;
    std::uint64_t ticket = 0;  ///< of the grant of its key
    Hop hop;
    /// Route by session. One for sites and runs; users may run several commands at the same time.
    std::map<std::string, std::string> sessions;
    struct Waiting {
        std::string session;
        std::string route;
        std::int64_t number = 0;
    };
    std::deque<Waiting> waiting;  ///< other processes with its key, until it is gone
};

/// A connection that has said hello.
struct Connection {
    std::string peer;
    std::string session;
};

}  // namespace rankexec::hub
