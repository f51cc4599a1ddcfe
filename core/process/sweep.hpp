// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "rankexec/core/process/descendants.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::process {

/// Ends every process that belongs to a group, those that appear meanwhile included: finds, signals
/// through pidfds that were checked after opening, waits for their end, finds again, until a look
/// around finds nothing or the time is over. One thread, that of the loop.
class Sweep {
public:
    struct Plan {
        int signal = 0;                     ///< 0: only wait for their end; SIGTERM: SIGCONT follows
        std::chrono::milliseconds time{0};  ///< after that `on_done` gets what is left; negative: no limit
        std::set<pid_t> excepted;
    };
    using OnDone = std::function<void(std::vector<ProcessInfo> left)>;

    /// `before_look` is called before every look around, to reap what has ended. It returns whether
    /// adopted children have ended since its last call: then a chain of forks may be running that no
    /// look catches, and one look that finds nothing does not suffice.
    Sweep(EventLoop& loop, Belonging belonging, std::function<bool()> before_look);
    ~Sweep();
    Sweep(const Sweep&) = delete;
    Sweep& operator=(const Sweep&) = delete;

    /// Starts, or changes to another plan: then the earlier on_done is never called. on_done is called
    /// once, never from within this call.
    void start(Plan plan, OnDone on_done);
    void cancel();

    /// Kills what a process of the group that has just ended may have forked at the last moment: the
    /// rest of its process group, and the likely next pids. Call while it is still our zombie.
    static void kill_kin(pid_t ended);

private:
    struct Held {
        ProcessInfo info;
        UniqueFd pidfd;  ///< invalid when descriptors have run out: then only looks tell
    };

    void look();
    void request_look();
    void hold(const ProcessInfo& info);
    void signal(const Held& held) const;
    void finish(std::vector<ProcessInfo> left);
    void time_over();
    void release(pid_t pid);
    void release_held();

    EventLoop& loop_;
    Belonging belonging_;
    std::function<bool()> before_look_;
    Plan plan_;
    OnDone on_done_;
    std::map<pid_t, Held> held_;
    EventLoop::TimerId look_timer_ = 0;
    EventLoop::TimerId end_timer_ = 0;
    std::chrono::milliseconds pause_{0};
    int uncertain_looks_ = 0;
};

}  // namespace rankexec::process
