// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "rankexec/core/cli/command_line.hpp"

namespace rankexec::cli {

/// The arguments after `serve`, after `site` (but for `site enroll`), and after `job run`. Throw UsageError.
[[nodiscard]] Command parse_serve_command(const std::vector<std::string>& arguments);
[[nodiscard]] Command parse_site_command(const std::vector<std::string>& arguments);
[[nodiscard]] Command parse_job_run_command(const std::vector<std::string>& arguments);

}  // namespace rankexec::cli
