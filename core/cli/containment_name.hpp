// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec::cli {

/// What --contain and the job file call it; nothing for any other word.
[[nodiscard]] inline std::optional<wire::Containment> containment_named(std::string_view word) {
    if (word == "auto") return wire::Containment::automatic;
    if (word == "pidns") return wire::Containment::pid_namespace;
    return std::nullopt;
}

}  // namespace rankexec::cli
