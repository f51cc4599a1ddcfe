// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/transport/credentials.hpp"

namespace rankexec {

/// After so long a silence of a peer, which sends a heartbeat in a quarter of it, its connection counts as lost.
inline constexpr std::chrono::milliseconds kHeartbeatTimeout{4000};

enum class ChannelKind : std::uint8_t { execution = 0, handler = 1, relay = 2, supervision = 3 };
[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(ChannelKind kind) noexcept;

/// What a rank or a shim must know to reach its parent. The rank's form holds only that rank's
/// secret, the shim's form the run's, because a launcher gives all its processes the same.
struct RANKEXEC_EXPORT Bootstrap {
    std::string run_id;
    std::uint32_t incarnation = 0;
    int world_size = 0;
    int rank = -1;  ///< -1 in the shim's form
    Secret secret;
    PeerCredentials::Key server_key{};   ///< the parent's CURVE public key
    std::string host_identity;           ///< of the parent: equal to ours means that ipc endpoints work
    std::string run_directory;           ///< of the ipc endpoints
    std::vector<std::string> addresses;  ///< where the parent listens on tcp: numeric addresses, best first
    std::vector<int> ports;              ///< tcp port per ChannelKind; empty: no tcp
    std::chrono::milliseconds heartbeat_timeout = kHeartbeatTimeout;  ///< 0: no heartbeats

    [[nodiscard]] std::string ipc_endpoint(ChannelKind kind) const;
    [[nodiscard]] std::string tcp_endpoint(ChannelKind kind, std::string_view address) const;

    /// The form for one rank's program: its own secret instead of the run's.
    [[nodiscard]] Bootstrap for_rank(int rank) const;

    /// Printable text (base64 of the binary form), fit for a file or an environment variable. The caller wipes it.
    [[nodiscard]] std::string to_text() const;
    /// Total: any text gives a Bootstrap or a message that says what is wrong.
    [[nodiscard]] static tl::expected<Bootstrap, std::string> from_text(std::string_view text);
};

/// Equal on two processes exactly when they run under the same kernel and in the same network
/// namespace: the boot id and the namespace's inode.
[[nodiscard]] RANKEXEC_EXPORT std::string host_identity();

/// The host's name, for people.
[[nodiscard]] RANKEXEC_EXPORT std::string host_name();

/// Numeric addresses of this host's network interfaces that are up, loopback last.
[[nodiscard]] RANKEXEC_EXPORT std::vector<std::string> interface_addresses();

}  // namespace rankexec
