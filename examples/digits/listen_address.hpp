// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace digits {

/// The address on which the other ranks can reach this one, found without sending anything: loopback
/// when all ranks are on one host; else the one from which this host reaches `master` (a name or an
/// address), or, when that leads nowhere or only to this host itself, the host's first other address.
[[nodiscard]] std::string listen_address(const std::string& master, bool one_host);

/// The same from MASTER_ADDR, WORLD_SIZE and LOCAL_WORLD_SIZE; without them there is one host.
[[nodiscard]] std::string listen_address();

}  // namespace digits
