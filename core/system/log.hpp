// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "rankexec/core/model/export.hpp"

/// One line per call to standard error, with time, process role and level. The threshold is
/// warning, or what RANKEXEC_LOG says: debug, info, warning, error, off. Any thread.
namespace rankexec::log {

RANKEXEC_EXPORT void debug(std::string_view message);
RANKEXEC_EXPORT void info(std::string_view message);
RANKEXEC_EXPORT void warning(std::string_view message);
RANKEXEC_EXPORT void error(std::string_view message);

/// Appears in each line: "parent" by default, "rank 3" in a worker. Call before other threads log.
RANKEXEC_EXPORT void set_role(std::string_view role);

}  // namespace rankexec::log
