// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include "rankexec/core/model/export.hpp"

/// Process numbers as people see them. In a PID namespace without a /proc of its own (`--contain pidns`,
/// `unshare --pid`), getpid() is a number that only its namespace knows, while /proc, ps and kill outside
/// go by another. Reports name the latter. Any thread; never fail.
namespace rankexec {

/// The number under which /proc lists this process; getpid() where there is no /proc.
[[nodiscard]] RANKEXEC_EXPORT pid_t listed_pid();
/// The same of a process that this one knows as `pid`; 0 when there is no such process (any more), or
/// /proc does not list it.
[[nodiscard]] RANKEXEC_EXPORT pid_t listed_pid(pid_t pid);
/// Whether /proc goes by the numbers of this process's own namespace, as nearly always.
[[nodiscard]] RANKEXEC_EXPORT bool proc_is_ours();

}  // namespace rankexec
