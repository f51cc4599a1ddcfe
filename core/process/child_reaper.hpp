// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>

#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::process {

/// Reaps every child of this process, adopted ones included, and says which ended how.
///
/// For programs that own their process (guardian, rank shim, the CLI as process 1): it blocks SIGCHLD
/// and waits for any child, which a library in someone else's process must never do. One thread.
class ChildReaper {
public:
    /// Called while the child is still a zombie, so that its pid and process group are not reused
    /// before the callback returns.
    using OnExit = std::function<void(pid_t pid, const ExitStatus& status)>;

    /// Throws std::system_error when descriptors have run out.
    ChildReaper(EventLoop& loop, OnExit on_exit);
    ~ChildReaper();
    ChildReaper(const ChildReaper&) = delete;
    ChildReaper& operator=(const ChildReaper&) = delete;

    /// Reaps what has ended by now, up to a bound, without waiting for the loop.
    void collect();

private:
    void on_signal();

    EventLoop& loop_;
    OnExit on_exit_;
    UniqueFd signals_;
};

}  // namespace rankexec::process
