// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/executor/outside/ipc_exchanger.hpp"
#include "rankexec/ipc/exchange/exchange_endpoint.hpp"
#include "rankexec/worker/agent/attached_agent.hpp"

namespace rankexec::test {

/// Longer than anything takes that is to happen.
inline constexpr std::chrono::milliseconds kLong{20'000};
/// Shorter than anything that is not to happen would take.
inline constexpr std::chrono::milliseconds kShort{100};

/// A base folder of meeting places, removed with all that is in it.
class BaseFolder {
public:
    BaseFolder();
    ~BaseFolder();
    BaseFolder(const BaseFolder&) = delete;
    BaseFolder& operator=(const BaseFolder&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

/// One side that does nothing by itself: what comes waits to be asked for. Session and connection as those of the real
/// one.
class RawEnd {
public:
    struct Received {
        exchange::ExchangeMessage message;
        std::string id;
        std::string request_id;
    };

    enum class Side { agent, exchanger };
    RawEnd(Side side, const exchange::MeetingPlace& place, const exchange::TcpAddress& tcp = {});

    /// The next that has come of that type; what came before it is thrown away. Fails the test when there is none.
    template <typename Message>
    Received expect() {
        auto found = find<Message>(kLong);
        EXPECT_TRUE(found) << "a message has not come";
        return found ? std::move(*found) : Received{Message{}, {}, {}};
    }
    template <typename Message>
    Message get() {
        return std::get<Message>(expect<Message>().message);
    }
    /// Whether one is there soon that should not be.
    template <typename Message>
    bool gets() {
        return find<Message>(kShort).has_value();
    }
    /// Waits for a connection. The message's id.
    std::string send(exchange::ExchangeMessage message, std::string request_id = {});
    /// Frames as they are.
    void send(const exchange::Outgoing& message);
    void wait_until_up();
    [[nodiscard]] bool up();
    [[nodiscard]] std::string refusal();
    /// Why there is no connection, as soon as that says so.
    [[nodiscard]] std::string why_down(const std::string& expected);
    /// Answers every heartbeat that comes from now on with this.
    void answer_heartbeats(std::optional<exchange::HeartbeatAnswer> answer);
    [[nodiscard]] const exchange::Endpoint& endpoint() const { return *endpoint_; }

private:
    template <typename Message>
    std::optional<Received> find(std::chrono::milliseconds timeout) {
        std::unique_lock lock(mutex_);
        const auto deadline = std::chrono::steady_clock::now() + timeout;
        while (true) {
            while (!inbox_.empty()) {
                auto first = std::move(inbox_.front());
                inbox_.pop_front();
                if (std::holds_alternative<Message>(first.message)) return first;
            }
            if (changed_.wait_until(lock, deadline) == std::cv_status::timeout && inbox_.empty()) return std::nullopt;
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Received> inbox_;
    std::optional<exchange::HeartbeatAnswer> answer_;
    bool up_ = false;
    std::string refusal_;
    std::unique_ptr<exchange::Endpoint> endpoint_;  // last: its thread uses the others
};

/// Records events of an engine.
class Recorder : public Component {
public:
    struct Event {
        std::string type;
        Context context;
    };
    void handle_event(const std::string& type, Context& context) override;
    /// The next of that type; others are thrown away. Fails the test when there is none.
    Event expect(const std::string& type);
    [[nodiscard]] int count(const std::string& type);

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Event> events_;
    std::deque<std::string> types_;
};

/// What an exchanger and an agent have in common in a test.
class Exchange : public ::testing::Test {
protected:
    [[nodiscard]] exchange::AgentName name() const { return {"site", "agent"}; }
    [[nodiscard]] exchange::MeetingPlace place() const;
    /// Quick, so that tests are.
    [[nodiscard]] IpcExchangerOptions exchanger_options() const;
    [[nodiscard]] agent::AttachOptions agent_options() const;

    /// In `engine`, begun.
    IpcExchanger& begin(IpcExchangerOptions options);
    IpcExchanger& begin() { return begin(exchanger_options()); }
    /// Started.
    [[nodiscard]] std::unique_ptr<agent::AttachedAgent> attach() const;
    /// As an agent of its own making: it answers heartbeats, and holds nothing.
    [[nodiscard]] std::unique_ptr<RawEnd> raw_agent() const;
    [[nodiscard]] std::unique_ptr<RawEnd> raw_exchanger() const;

    /// On a thread of its own.
    std::future<Shareable> execute(const std::string& task, Shareable input = {}, Signal abort = {});
    static bool is_ready(const std::future<Shareable>& future, std::chrono::milliseconds within = kShort) {
        return future.wait_for(within) == std::future_status::ready;
    }
    static Shareable with(std::int64_t number) {
        Shareable content;
        content.body = number;
        return content;
    }
    /// Waits until the exchanger is in that state.
    void wait_for(ExchangerState state, std::chrono::milliseconds patience = kLong);
    /// The same, where it is the kernel that takes its time.
    void wait_for_long(ExchangerState state) { wait_for(state, std::chrono::minutes(2)); }

    BaseFolder base;
    std::unique_ptr<Engine> engine = std::make_unique<Engine>();
    Recorder* recorder = nullptr;
    IpcExchanger* exchanger = nullptr;
};

/// What an agent answers that has taken this task.
[[nodiscard]] exchange::TaskAnswer accepting(const exchange::TaskRef& ref);
[[nodiscard]] exchange::GiveResult result_of(const exchange::TaskRef& ref, std::int64_t number);
[[nodiscard]] exchange::GiveTask task_of(const std::string& name, char digit, std::int64_t attempt = 1);
[[nodiscard]] exchange::HeartbeatAnswer holding(const exchange::TaskRef& ref, bool fetched);
[[nodiscard]] std::string kind_of(const agent::AgentError& error);
template <typename T>
[[nodiscard]] std::string kind_of(const tl::expected<T, agent::AgentError>& result) {
    return result ? "" : kind_of(result.error());
}

}  // namespace rankexec::test
