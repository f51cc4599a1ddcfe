// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/worker/agent/agent.hpp"
#include "rankexec/worker/agent/shell/work_thread.hpp"

namespace rankexec::agent::shell {

/// Who gets the agent's task, and what becomes of it. States: no task; fetched, and on its way to a caller or to nobody
/// yet; taken by a caller; its result being submitted. Lives on one EventLoop; calls the agent on threads of its own.
class ShellTasks {
public:
    using Caller = std::uint64_t;
    using Answer = std::function<void(Shareable content)>;

    ShellTasks(EventLoop& loop, Agent& agent) : loop_(loop), agent_(agent) {}
    ShellTasks(const ShellTasks&) = delete;
    ShellTasks& operator=(const ShellTasks&) = delete;

    /// Answers with a task, nothing in time, or why there is none. Without a time-out: until there is one or the other.
    void get_task(Caller caller, std::optional<Milliseconds> timeout, Answer answer);
    /// The caller that was answered with the task has it. False: it was not its to take.
    [[nodiscard]] bool taken(Caller caller);
    /// The caller is gone: it waits no more, and a task that it has not taken is the next one's.
    void gone(Caller caller);
    void submit(Shareable result, Answer answer);
    void log(Value::Map figures, std::string type, Answer answer);

    /// After the agent was closed: waits for the calls that are under way. Their answers are posted to the loop.
    void stop();

private:
    struct Waiting {
        Answer answer;
        std::optional<EventLoop::TimerId> timer;
        std::optional<EventLoop::Clock::time_point> deadline;
    };
    void fetch();
    void offer();
    void dismiss();
    void answer_all(const Shareable& content);
    [[nodiscard]] Waiting take_waiting(std::map<Caller, Waiting>::iterator waiting);
    [[nodiscard]] Milliseconds longest_wait() const;

    EventLoop& loop_;
    Agent& agent_;
    std::map<Caller, Waiting> waiting_;
    bool fetching_ = false;
    std::optional<Task> task_;
    std::optional<Caller> on_its_way_to_;
    bool taken_ = false;
    bool submitting_ = false;
    WorkThread fetcher_;
    WorkThread teller_;
};

/// What a caller is told of a task: its content, and in the headers what there is besides.
[[nodiscard]] Shareable content_of(const Task& task);
/// What content_of() was made of, but for the signal.
[[nodiscard]] Task task_of(Shareable content);

}  // namespace rankexec::agent::shell
