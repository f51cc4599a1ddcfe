// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rankexec/core/launch/rank_launcher.hpp"

namespace rankexec {

/// The directories of PATH in that environment, made absolute; the usual ones when there is no PATH.
[[nodiscard]] std::vector<std::string> search_path(const std::vector<std::string>& environment);

/// True for a file that we may execute.
[[nodiscard]] bool is_executable(const std::string& path);

/// Absolute path of the first of PATH's programs of that name; nothing when there is none.
[[nodiscard]] std::optional<std::string> find_in_path(const std::vector<std::string>& environment,
                                                      std::string_view name);

/// "launcher mpirun: mpirun.openmpi is not in PATH; install Debian's openmpi-bin".
[[nodiscard]] Failure not_installed(std::string_view launcher, std::string_view program, std::string_view package);

/// A request that this launcher cannot serve.
[[nodiscard]] Failure cannot_serve(std::string_view launcher, std::string_view why);

/// What every launcher but the direct one starts once per rank: the rank shim and, behind it, the
/// rank's program. mpirun, mpiexec and srun take an argument ":" as the start of another program, even
/// behind ours, and torchrun replaces "$$" and "${local_rank}". A command line that has such a thing is
/// sent encoded, and the shim decodes it: "=" before each word, "$" and "%" as in URLs.
[[nodiscard]] std::vector<std::string> shim_command(std::string_view launcher, const LaunchRequest& request);

/// Items with a comma between them.
[[nodiscard]] std::string comma_separated(const std::vector<std::string>& items);

/// Appends all of `more`.
void append(std::vector<std::string>& words, const std::vector<std::string>& more);

}  // namespace rankexec
