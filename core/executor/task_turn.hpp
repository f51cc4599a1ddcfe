// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <mutex>

namespace rankexec {

/// Whose turn it is: a group executes one task at a time, in order of submission, and a task takes one of two ways,
/// through the session's queue or through the lane. The lane is taken only when nothing is submitted to the session,
/// which in its turn begins nothing while the lane is taken. Any thread.
class TaskTurn {
public:
    /// For a task in the lane. False: it must be submitted to the session.
    [[nodiscard]] bool take_lane() {
        const std::lock_guard lock(mutex_);
        if (lane_ || submitted_ > 0) return false;
        lane_ = true;
        return true;
    }
    /// The task in the lane has its reply. True: tasks were submitted meanwhile, and the session must be told.
    [[nodiscard]] bool leave_lane() {
        const std::lock_guard lock(mutex_);
        lane_ = false;
        return submitted_ > 0;
    }
    /// The task in the lane is the session's from now on, before all that waits there.
    void hand_over() {
        const std::lock_guard lock(mutex_);
        lane_ = false;
        ++submitted_;
    }
    [[nodiscard]] bool lane_taken() {
        const std::lock_guard lock(mutex_);
        return lane_;
    }

    /// Before a task is posted to the session, and when it has its reply.
    void submit() {
        const std::lock_guard lock(mutex_);
        ++submitted_;
    }
    void done() {
        const std::lock_guard lock(mutex_);
        --submitted_;
    }

private:
    std::mutex mutex_;
    bool lane_ = false;
    std::size_t submitted_ = 0;  ///< to the session, and without a reply yet
};

}  // namespace rankexec
