// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/model/failure.hpp"

/// Exit codes of the rankexec command; docs/cli.md documents them for users.
namespace rankexec::cli {

inline constexpr int kExitSuccess = 0;
inline constexpr int kExitFailure = 1;  ///< failed, and no rank has a code of its own to give
inline constexpr int kExitUsage = 2;    ///< bad command line or job file; nothing was started
inline constexpr int kExitClosed = 3;   ///< of `rankexec agent`: there will be no more tasks
inline constexpr int kExitTimeout = 124;
inline constexpr int kExitLauncher = 125;  ///< the launcher or the supervision failed
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;

/// 128 + signal, as a shell reports a process that the signal ended.
[[nodiscard]] constexpr int exit_code_of_signal(int signal) noexcept { return 128 + signal; }

/// What the command exits with when its output could not be written: as a program of its own would whose reader
/// has gone (EPIPE), or kExitFailure.
[[nodiscard]] int exit_code_of_output(int error) noexcept;
/// "cannot write output: No space left on device"
[[nodiscard]] std::string text_of_output_error(int error);

/// What the command exits with after this failure: the first failing rank's own code where it has
/// one. Never 0.
[[nodiscard]] int exit_code_of(const Failure& failure) noexcept;

/// What the command exits with for a mistake that was found before anything started.
[[nodiscard]] int exit_code_of(const ConfigurationError& error) noexcept;

}  // namespace rankexec::cli
