// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/signal.hpp"
#include "rankexec/ipc/pipe/pipe_handler.hpp"
#include "rankexec/ipc/pipe/wait_room.hpp"
#include "rankexec/worker/agent/agent.hpp"

namespace rankexec::agent {

/// The agent of a program that its executor has launched: one conversation over one pipe, from the first task to the
/// executor's end or abort. Exported for tests, which bring a pipe of their own.
class RANKEXEC_EXPORT LaunchedAgent final : public Agent {
public:
    /// Over an opened pipe, which it closes. Throws ConfigurationError for the options, std::system_error when threads
    /// have run out.
    LaunchedAgent(std::shared_ptr<Pipe> pipe, const InitOptions& options);
    ~LaunchedAgent() override;

    [[nodiscard]] tl::expected<std::optional<Task>, AgentError> get_task(Milliseconds timeout) override;
    [[nodiscard]] bool wait_for_task(Milliseconds timeout) override;
    [[nodiscard]] tl::expected<void, AgentError> submit_result(Shareable result) override;
    [[nodiscard]] bool is_running() const override { return !closed_.triggered(); }
    [[nodiscard]] Signal closed() const override { return closed_; }
    [[nodiscard]] tl::expected<void, AgentError> log(const Value::Map& figures, std::string_view type) override;
    void close() override;

private:
    struct OpenTask {
        PipeMessage request;  ///< without its content
        Signal abort;
        bool submitting = false;
    };

    void on_status(const PipeMessage& message);
    void on_message(PipeMessage&& message);
    void end(const std::string& why, bool gone = true);
    [[nodiscard]] AgentError closed_error() const;
    [[nodiscard]] Task open(PipeMessage&& request);
    [[nodiscard]] AgentError to_agent_error(const PipeError& error);

    const Milliseconds submit_timeout_;
    const Milliseconds log_timeout_;
    const std::shared_ptr<Pipe> pipe_;
    pipe::WaitRoom room_;
    const Signal closed_;  ///< with the reason
    const Signal gone_;    ///< likewise: what is being sent will not be taken any more
    std::mutex mutex_;
    std::optional<PipeMessage> pending_;
    std::optional<OpenTask> open_;
    std::atomic<bool> closing_ = false;
    PipeHandler handler_;  // last: its threads use the others
};

}  // namespace rankexec::agent
