// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "rankexec/core/cli/command_line.hpp"

namespace rankexec::cli {

/// The arguments after `job`, but for `job run`. Throws UsageError.
[[nodiscard]] Command parse_job_command(const std::vector<std::string>& arguments);
/// The arguments after `site enroll` and `user enroll`. Throws UsageError.
[[nodiscard]] Command parse_enroll_command(bool site, const std::vector<std::string>& arguments);
/// The arguments after `user`. Throws UsageError.
[[nodiscard]] Command parse_user_command(const std::vector<std::string>& arguments);

}  // namespace rankexec::cli
