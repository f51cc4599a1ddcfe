// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>

namespace rankexec::process {

/// A process's numbers in our PID namespace, where /proc is that of a namespace around it.
struct OwnNumbers {
    pid_t pid = 0;
    pid_t group = 0;  ///< 0: led from outside
};

/// Of the process that /proc lists under that number. Nothing when it is gone, or outside our namespace.
[[nodiscard]] std::optional<OwnNumbers> own_numbers(pid_t listed);

}  // namespace rankexec::process
