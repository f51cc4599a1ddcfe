// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace rankexec::process {

/// Descriptors that a guardian is started with.
inline constexpr int kControlSocket = 3;
inline constexpr int kHostPidfd = 4;

/// The whole life of a guardian process: takes Supervise from the host, supervises the group, removes
/// `run_directory` (empty: what Supervise says), and returns the exit code when nothing of it is left: 0, or 2 when it
/// was started wrongly or the host sent what is no message.
int run_guardian(const std::string& run_directory);

}  // namespace rankexec::process
