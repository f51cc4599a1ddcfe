// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/signal.hpp"
#include "rankexec/ipc/exchange/exchange_endpoint.hpp"
#include "rankexec/ipc/exchange/meeting_place.hpp"
#include "rankexec/worker/agent/agent.hpp"
#include "rankexec/worker/agent/task_desk.hpp"

namespace rankexec::agent {

/// The agent of a program that executors attach to. start() once; after close() never again. Exported for tests.
///
/// Its endpoint's thread answers heartbeats, takes tasks and aborts, and sends what waits again; it never runs the
/// program's code, but for what is subscribed to a task's abort; that may call is_running() and close() only.
class RANKEXEC_EXPORT AttachedAgent final : public Agent {
public:
    explicit AttachedAgent(AttachOptions options);
    ~AttachedAgent() override;

    /// Listens. call_state when it was started, or closed, before; otherwise as attach().
    [[nodiscard]] tl::expected<void, AgentError> start();

    [[nodiscard]] tl::expected<std::optional<Task>, AgentError> get_task(Milliseconds timeout) override;
    [[nodiscard]] bool wait_for_task(Milliseconds timeout) override;
    [[nodiscard]] tl::expected<void, AgentError> submit_result(Shareable result) override;
    [[nodiscard]] bool is_running() const override;
    [[nodiscard]] Signal closed() const override { return closed_; }
    [[nodiscard]] tl::expected<void, AgentError> log(const Value::Map& figures, std::string_view type) override;
    void close() override;

private:
    using Clock = std::chrono::steady_clock;
    /// What was sent and is to be answered; sent again until then.
    struct Request {
        exchange::Outgoing message;
        std::optional<exchange::TaskRef> ref;  ///< of a result
        std::uint64_t connection = 0;          ///< on which it was put; 0: on none
        int puts = 0;                          ///< how often, there
        bool waited_for = true;
        bool answered = false;
        bool accepted = false;
        std::string why;
        EventLoop::TimerId resend = 0;
    };
    using Requests = std::map<std::string, Request>;  ///< by message id

    // On the endpoint's thread.
    void on_up(const std::string& session);
    void on_message(exchange::ExchangeMessage&& message, const std::string& id, const std::string& request_id);
    void on_answer(const std::string& request_id, bool accepted, const std::string& why,
                   const std::optional<exchange::TaskRef>& ref);
    void put(const std::string& id);
    void nobody_came();

    /// Sends and waits. By the answer, or why there is none.
    [[nodiscard]] tl::expected<void, AgentError> request(exchange::Outgoing message,
                                                         std::optional<exchange::TaskRef> ref, Milliseconds timeout,
                                                         const char* what, std::unique_lock<std::mutex>& lock);
    [[nodiscard]] tl::expected<std::optional<exchange::TaskRef>, AgentError> task_of_result(const Shareable& result);
    void end(const std::string& why);
    void release();
    [[nodiscard]] AgentError closed_error() const;
    [[nodiscard]] static AgentError own_thread_error(const char* call);
    [[nodiscard]] bool on_own_thread() const { return loop_thread_ == std::this_thread::get_id(); }
    [[nodiscard]] std::string name() const { return options_.site + "/" + options_.id; }
    /// Runs `work` with the lock, and afterwards, without it, what it has made necessary.
    template <typename Work>
    auto locked(Work&& work);
    void trigger_aborts(std::unique_lock<std::mutex>& lock);

    const AttachOptions options_;
    const Signal closed_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    TaskDesk desk_;
    Requests requests_;
    bool begun_ = false;  ///< a task was fetched, or a result submitted
    bool submitting_ = false;
    std::string exchanger_;  ///< its session; endpoint's thread
    EventLoop::TimerId first_connection_ = 0;

    std::atomic<std::thread::id> loop_thread_{};
    std::mutex releasing_;  ///< taken before mutex_
    std::optional<exchange::Occupation> occupation_;
    exchange::Endpoint* wire_ = nullptr;  ///< the same as below, for its own thread; set by start()
    std::unique_ptr<exchange::Endpoint>
        endpoint_;  ///< nullptr: not started, or released. Last: its thread uses the others
};

}  // namespace rankexec::agent
