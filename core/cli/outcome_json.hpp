// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/model/failure.hpp"

namespace rankexec::cli {

/// The last word of a command: what it exits with, and why.
struct CommandResult {
    int exit_code = 0;
    std::optional<Failure> failure;                 ///< none: nothing failed, or complain() has said what
    std::vector<std::int64_t> surviving_pids = {};  ///< processes of the group that could not be ended
    bool error_line_open = false;                   ///< the last line on standard error has no end yet
};

/// The result as one JSON object in one line, without a line break: what --json prints. docs/cli.md lists
/// its fields. Valid JSON, and so valid UTF-8, whatever bytes the failure holds.
[[nodiscard]] std::string to_json(const CommandResult& result);

}  // namespace rankexec::cli
