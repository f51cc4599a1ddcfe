// SPDX-License-Identifier: Apache-2.0
#pragma once

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

}  // namespace rankexec
