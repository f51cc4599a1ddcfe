// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/transport/bootstrap.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// Which way a message travels.
enum class Direction { to_parent, to_peer };

/// Whether PROTOCOL.md lets this message travel on that channel in that direction. Anything else ends
/// the session.
[[nodiscard]] RANKEXEC_EXPORT bool allowed_on(ChannelKind kind, Direction direction, const wire::Message& message);

/// Whether a session on that channel goes on when its connection is cut and another one made: nothing is lost then.
/// On the others a cut that loses a message ends the session.
[[nodiscard]] constexpr bool outlives_connections(ChannelKind kind) { return kind == ChannelKind::supervision; }
/// Whether messages of that type are about such a session, and have no number in it.
[[nodiscard]] RANKEXEC_EXPORT bool stands_outside(std::uint16_t type);

}  // namespace rankexec
