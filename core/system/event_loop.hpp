// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// A single-threaded epoll loop: descriptors, timers, and work posted from other threads.
///
/// All callbacks run on the thread that calls run(); every member function except post() and stop()
/// belongs to that thread (or to the one that sets the loop up before run()). A callback may watch
/// and unwatch anything, itself included; no callback of an unwatched descriptor or cancelled timer
/// is called afterwards. Callbacks must not throw.
class RANKEXEC_EXPORT EventLoop {
public:
    using Clock = std::chrono::steady_clock;
    using TimerId = std::uint64_t;
    using FdCallback = std::function<void(std::uint32_t epoll_events)>;

    /// Throws std::system_error when descriptors have run out.
    EventLoop();
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    /// Calls back while `events` (EPOLLIN, EPOLLOUT; level-triggered) hold, and on EPOLLHUP and
    /// EPOLLERR. The descriptor stays the caller's and must be unwatched before it is closed. Watching
    /// it again replaces events and callback. Throws std::system_error.
    void watch(int fd, std::uint32_t events, FdCallback callback);
    void unwatch(int fd) noexcept;

    /// Calls back once at `when`, or as soon after it as possible.
    TimerId call_at(Clock::time_point when, std::function<void()> callback);
    TimerId call_after(Clock::duration delay, std::function<void()> callback) {
        return call_at(Clock::now() + delay, std::move(callback));
    }
    void cancel(TimerId timer) noexcept;

    /// Called before every wait, for sources whose readiness a descriptor alone does not tell (ZeroMQ
    /// sockets). Returns true when it did something or has more to do: then all are called once more, and when one of
    /// them returns true again the loop does not block.
    using Source = std::function<bool()>;
    std::uint64_t add_source(Source source);
    void remove_source(std::uint64_t id) noexcept;

    /// Queues a callback for the loop's thread. Any thread.
    void post(std::function<void()> callback);

    /// Runs until stop().
    void run();
    /// Makes one round, waiting at most `longest` (negative: unbounded). A round in which a timer was due
    /// or posted work ran does not wait: the caller looks at what that did first.
    void run_once(std::chrono::milliseconds longest);
    /// Makes run() return after the current round; work posted before still runs. Any thread.
    void stop();

    [[nodiscard]] bool in_loop_thread() const noexcept;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace rankexec
