// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>

namespace rankexec::job {

/// How a child ended.
struct ChildEnd {
    bool killed = false;    ///< before its system call number `kill_at`
    int calls = 0;          ///< of those that change files, in all or until then
    bool reported = false;  ///< the work had returned
};

/// Forks a process that does the work, and kills it with SIGKILL as it enters its system call number `kill_at` (from 1)
/// of those that change files; none: lets it end. Nothing when this system lets no process trace its child. The work is
/// two functions: what comes before, and what is counted.
std::optional<ChildEnd> run_traced(const std::function<void()>& before, const std::function<void()>& work,
                                   std::optional<int> kill_at);

}  // namespace rankexec::job
