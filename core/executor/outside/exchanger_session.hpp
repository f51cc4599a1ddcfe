// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "rankexec/core/executor/outside/exchanger_table.hpp"
#include "rankexec/core/executor/outside/ipc_exchanger.hpp"
#include "rankexec/ipc/exchange/exchange_endpoint.hpp"
#include "rankexec/ipc/exchange/exchange_messages.hpp"

namespace rankexec {

/// What an exchanger knows of its agent and its open task, and does about it: the table's events are made here, and its
/// actions carried out. Lives on the loop of its endpoint.
class ExchangerSession {
public:
    struct Callbacks {
        std::function<void(std::string reason)> on_panic;
        std::function<void(exchange::ProgramLog&&)> on_log;
        /// The key, as it is now.
        std::function<tl::expected<Secret, std::string>()> read_key;
    };
    using Done = std::function<void(Shareable&& reply)>;

    ExchangerSession(exchange::AgentName agent, const IpcExchangerOptions& options, Callbacks callbacks);

    /// For the endpoint, which then is told to this; both live equally long.
    [[nodiscard]] exchange::Endpoint::Callbacks endpoint_callbacks();
    void start(exchange::Endpoint& endpoint);

    /// A task is open from here until `done` has been called. `first` is `task`, encoded as its first attempt.
    void begin_task(exchange::GiveTask task, exchange::Outgoing first, Done done);
    void abort_task(const std::string& id, const std::string& why);
    /// Aborts the open task, and says bye to the agent if it is there. `done` is called when the agent has answered, or
    /// nothing is to be waited for.
    void end(const std::string& why, std::function<void()> done);

    [[nodiscard]] IpcExchangerReport report() const;

private:
    struct OpenTask {
        exchange::GiveTask task;
        exchange::Outgoing message;  ///< of the present attempt
        Done done;
        std::string holder;  ///< the agent's session that was given the present attempt
        bool accepted = false;
        bool fetched = false;          ///< by the present attempt's program
        bool fetched_before = false;   ///< by that of an earlier one
        std::uint64_t connection = 0;  ///< on which it was sent
        int puts = 0;                  ///< how often, there
        EventLoop::TimerId resend = 0;
        std::string why;  ///< of a refusal or an abort
    };
    /// A result.
    struct Taken {
        std::int64_t attempt = 0;
        std::string message;  ///< its id
    };
    struct Asked {
        std::string id;
        bool after_acceptance = false;
    };

    void step(ExchangerEvent event);
    void act(ExchangerAction action);
    void give();
    void put();
    void resend_later();
    void finish(Shareable&& reply);
    void fail(ReturnCode code, const std::string& what);

    void on_up(const std::string& session);
    void on_down(const std::string& why);
    void on_message(exchange::ExchangeMessage&& message, const std::string& id, const std::string& request_id);
    void on_bad(const std::string& topic, const std::string& id, const std::string& why);
    void on_refused(const std::string& why);

    void on_heartbeat_answer(const exchange::HeartbeatAnswer& answer, const std::string& request_id);
    void agent_is_there(bool holds);
    void on_task_answer(const exchange::TaskAnswer& answer);
    void on_result(exchange::GiveResult&& result, const std::string& id);
    void take_result(exchange::GiveResult&& result, const std::string& id);
    void on_log(exchange::ProgramLog&& log, const std::string& id);

    void send_heartbeat();
    void heard();
    void watch_silence();
    void on_silence();
    void on_dead();
    [[nodiscard]] bool is_open(const exchange::TaskRef& ref) const;
    [[nodiscard]] bool from_holder() const;
    void remember_result(const exchange::TaskRef& ref, const std::string& message);
    [[nodiscard]] std::string about_agent() const;

    const exchange::AgentName agent_;
    const IpcExchangerOptions options_;
    const Callbacks callbacks_;
    exchange::Endpoint* endpoint_ = nullptr;
    ExchangerState state_ = ExchangerState::closed;
    std::optional<OpenTask> open_;
    Shareable result_;           ///< what the next delivery delivers
    std::string agent_session_;  ///< that was there last
    std::deque<Asked> asked_;    ///< heartbeats of the present connection that may still be answered
    EventLoop::Clock::time_point heard_{};
    EventLoop::TimerId heartbeat_ = 0;
    EventLoop::TimerId silence_ = 0;
    EventLoop::TimerId dead_ = 0;
    bool silent_ = false;   ///< and that was said
    bool refused_ = false;  ///< likewise
    bool panicked_ = false;
    std::string bye_id_;
    std::function<void()> bye_done_;
    std::unordered_map<std::string, Taken> taken_;  ///< by task
    std::deque<std::string> taken_order_;
    std::deque<std::string> logs_;  ///< ids of those that were taken
    IpcExchangerReport report_;
};

}  // namespace rankexec
