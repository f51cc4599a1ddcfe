// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec {

/// What a message whose body cannot be understood counts as, so that only its call fails and the
/// session goes on: an answer counts as one that says so, a rank's event as one that only takes its
/// number. Nothing for other types, and when the call's number could not be read.
[[nodiscard]] RANKEXEC_EXPORT std::optional<wire::Message> stand_in_for(std::uint16_t type,
                                                                        const wire::DecodeError& error);

}  // namespace rankexec
