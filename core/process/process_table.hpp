// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rankexec::process {

/// One line of /proc. A pid alone names a process only while nobody has reaped it; pid and start time
/// together do so for ever.
struct ProcessInfo {
    pid_t pid = 0;
    pid_t parent = 0;
    pid_t group = 0;
    std::uint64_t start_time = 0;  ///< clock ticks since boot
    bool dead = false;             ///< a zombie without living threads
    bool ending = false;           ///< on its way out: SIGKILL has worked, the kernel cleans up
    bool kernel_thread = false;
    bool descendant = false;  ///< set by find_processes: not only recognised by a mark
};

/// Nothing when there is no such process (any more).
[[nodiscard]] std::optional<ProcessInfo> read_process(pid_t pid);
/// Every process that this one can see. Processes that come and go meanwhile may be missing.
[[nodiscard]] std::vector<ProcessInfo> read_processes();

enum class MarkState {
    carried,  ///< its environment has every mark
    absent,   ///< it does not, or belongs to somebody else
    unknown,  ///< its environment is empty: perhaps it is just becoming another program
};
/// Whether the program was started with all of these NAME=value in its environment.
[[nodiscard]] MarkState carries_marks(pid_t pid, const std::vector<std::string>& marks);

}  // namespace rankexec::process
