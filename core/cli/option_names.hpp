// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "rankexec/core/executor/multi_process_executor.hpp"
#include "rankexec/ipc/wire/messages.hpp"

/// What the command line and the job file call the values of an option; nothing for any other word.
namespace rankexec::cli {

[[nodiscard]] inline std::optional<wire::Containment> containment_named(std::string_view word) {
    if (word == "auto") return wire::Containment::automatic;
    if (word == "pidns") return wire::Containment::pid_namespace;
    return std::nullopt;
}

[[nodiscard]] inline std::optional<Transport> transport_named(std::string_view word) {
    if (word == "auto") return Transport::automatic;
    if (word == "zeromq") return Transport::zeromq;
    return std::nullopt;
}

}  // namespace rankexec::cli
