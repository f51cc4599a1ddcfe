// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace rankexec::worker {

/// Ends this process when its parent is gone, whatever user code does: a thread of its own waits for
/// the parent's pidfd, calls `on_gone`, gives user code a grace, and ends the process by _exit.
class ParentWatch {
public:
    /// Adopts `pidfd`. `on_gone` is called on the watch's thread.
    ParentWatch(int pidfd, std::chrono::milliseconds grace, std::function<void()> on_gone);
    ~ParentWatch();
    ParentWatch(const ParentWatch&) = delete;
    ParentWatch& operator=(const ParentWatch&) = delete;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace rankexec::worker
