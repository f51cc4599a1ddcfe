// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "rankexec/core/job/bundle/identity.hpp"
#include "rankexec/ipc/transport/credentials.hpp"

namespace rankexec::job {

/// The seed of a part's keys, which nobody can tell who does not know the controller's secret, and the controller makes
/// again after a restart. Of a controller part it is another one for each incarnation.
[[nodiscard]] Secret part_secret(const Identity& controller, const std::string& job, const std::string& participant,
                                 int incarnation);

/// 64 hexadecimal digits.
[[nodiscard]] std::string hex_of(std::span<const std::byte, 32> bytes);

}  // namespace rankexec::job
