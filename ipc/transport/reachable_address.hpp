// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace rankexec {

/// The first of `addresses` (numeric IPv4 or IPv6, or names) on which something accepts a tcp
/// connection at `port`, asked in parallel; empty when none does within `timeout`.
[[nodiscard]] std::string reachable_address(const std::vector<std::string>& addresses, int port,
                                            std::chrono::milliseconds timeout);

}  // namespace rankexec
