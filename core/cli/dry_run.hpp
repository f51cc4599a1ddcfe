// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/executor/group_options.hpp"
#include "rankexec/core/model/failure.hpp"

namespace rankexec::cli {

/// What would be started for these options: the command, and per rank its host, GPUs and added
/// environment. Starts nothing. Fails where a start would fail for the same reason: launch_error.
/// Throws ConfigurationError as check_group_options.
[[nodiscard]] tl::expected<std::string, Failure> describe_launch(const GroupOptions& options);

/// Words as a shell would have to read them.
[[nodiscard]] std::string shell_quoted(const std::vector<std::string>& words);

}  // namespace rankexec::cli
