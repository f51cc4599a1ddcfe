// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/transport/bootstrap.hpp"

namespace rankexec::worker {

/// The shim's command line: rankexec-rank --launcher NAME [--encoded] -- PROGRAM [ARGUMENT...]
struct ShimArguments {
    std::string launcher;
    std::vector<std::string> program;
};

/// `arguments` without the shim's own name. With --encoded each word of the program has a "=" before it
/// and %XX for some characters: launchers give a lone ":" or a "$" a meaning of their own.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<ShimArguments, std::string> parse_shim_arguments(
    const std::vector<std::string>& arguments);

/// The shim's bootstrap: from the file that RANKEXEC_BOOTSTRAP_FILE names, else from the variable
/// RANKEXEC_BOOTSTRAP. Both variables are removed from this process's environment, and the secret is
/// overwritten where the kernel shows it (/proc/PID/environ). Only before other threads exist.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<Bootstrap, std::string> take_bootstrap();

}  // namespace rankexec::worker
