// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "rankexec/core/cli/command_line.hpp"

namespace rankexec::cli {

/// Reads what comes after `rankexec agent`. Throws UsageError.
[[nodiscard]] Command parse_agent_command(std::vector<std::string> arguments);

/// "loss=0.5": a name and a figure, which is a number, true or false where it reads as one, else text. Throws
/// UsageError.
[[nodiscard]] std::pair<std::string, Value> parse_figure(const std::string& word);

}  // namespace rankexec::cli
