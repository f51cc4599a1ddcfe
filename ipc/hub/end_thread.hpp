// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/hub/hop.hpp"
#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::hub {

/// The thread of a HubEnd with its loop, as far as both forms of it are alike.
class EndThread {
public:
    /// Throws std::system_error when descriptors have run out.
    EndThread();
    /// After stop().
    ~EndThread() = default;
    EndThread(const EndThread&) = delete;
    EndThread& operator=(const EndThread&) = delete;

    [[nodiscard]] EventLoop& loop() noexcept { return loop_; }
    /// Any thread; false after stop().
    bool post(std::function<void()> work);
    void start();
    /// Runs `last` as the last on the thread, or here when it was never started, and joins it. False when somebody has
    /// called this before.
    bool stop(const std::function<void()>& last);

    /// Hands answers to the loop as long as there is one; outlives this.
    struct Gate {
        std::mutex mutex;
        EventLoop* loop = nullptr;
        bool post(std::function<void()> work);
    };
    [[nodiscard]] std::shared_ptr<Gate> gate() const { return gate_; }

private:
    EventLoop loop_;
    std::shared_ptr<Gate> gate_;
    std::thread thread_;
    std::mutex stopping_;
    bool stopped_ = false;
};

/// Who handles which topic. Filled before the thread starts.
class Handlers {
public:
    void add(const std::string& topic, HubEnd::Handler handler);
    /// Calls the handler, or answers that there is none or that the content is bad. `answer` is called once, on any
    /// thread; never with what an end may not send.
    void handle(const std::string& from, const std::string& topic, const Body& body, const wire::Limits& limits,
                std::function<void(RawReply&&)> answer) const;

private:
    std::map<std::string, HubEnd::Handler> handlers_;
};

/// A callback on a reply as it has come.
[[nodiscard]] Hop::OnReply reading(HubEnd::OnReply on_reply, wire::Limits limits);
[[nodiscard]] Failure failure(ReturnCode code, std::string message);
/// When a time-out that begins now is over; a year from now for those that are never.
[[nodiscard]] Hop::Clock::time_point deadline_after(HubEnd::Milliseconds timeout);
/// Of a request from outside.
[[nodiscard]] Hop::Clock::time_point deadline_of(const Envelope& envelope);
/// Calls a callback of the user's; what it throws is logged.
void guarded(const char* what, const std::function<void()>& callback);

}  // namespace rankexec::hub
