// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::worker {

/// Says where the thread that made it stands, whatever it does: a real-time signal that nobody else
/// uses makes it dump its own stack into static memory. At most one in a process.
///
/// A system call of that thread may end with EINTR when it is asked.
class StackSampler {
public:
    struct Sample {
        std::vector<std::string> frames;  ///< innermost first; at most 64, and 16 KiB
        std::string missing;              ///< why there are none
    };

    /// On the thread to be asked. `loop` is that of the thread that asks.
    explicit StackSampler(EventLoop& loop);
    /// The loop must not run any more.
    ~StackSampler();
    StackSampler(const StackSampler&) = delete;
    StackSampler& operator=(const StackSampler&) = delete;

    /// False when the program uses every real-time signal itself.
    [[nodiscard]] bool available() const noexcept { return signal_ != 0; }

    /// On the loop's thread. `on_sample` is called there too, once, after at most kPatience; not at all when
    /// another request comes first.
    void request(std::function<void(Sample&&)> on_sample);

    static constexpr std::chrono::milliseconds kPatience{700};

private:
    void finish();
    void give_up();
    void deliver(Sample&& sample);

    EventLoop& loop_;
    pid_t thread_;
    int signal_ = 0;
    UniqueFd answered_;
    bool watched_ = false;
    EventLoop::TimerId timer_ = 0;
    std::function<void(Sample&&)> on_sample_;
};

}  // namespace rankexec::worker
