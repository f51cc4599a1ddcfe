// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::job {

/// A hub in memory: ends that can be connected and cut off, each with a thread of its own. Requests have no time limit.
class FakeHub {
public:
    class End;

    ~FakeHub() { close(); }
    /// All ends. Before what their handlers refer to goes.
    void close();

    /// Not connected yet. Takes the place of an end of that name, which must be closed; the old one stays the hub's.
    End& make(const std::string& name);
    /// Also calls the end's on_connected, on its thread.
    void connect(const std::string& name);
    void cut(const std::string& name);

private:
    friend class End;
    struct Call {
        End* from = nullptr;
        std::string to;
        std::string topic;
        Shareable content;
        hub::HubEnd::OnReply on_reply;  ///< not set: told
        End* taken_by = nullptr;
    };
    using CallPointer = std::shared_ptr<Call>;
    void route(const CallPointer& call);
    void reply(const CallPointer& call, hub::Reply reply);

    std::mutex mutex_;
    std::map<std::string, End*> ends_;
    std::vector<std::unique_ptr<End>> all_;
};

class FakeHub::End final : public hub::HubEnd {
public:
    End(FakeHub& hub, std::string name) : hub_(hub), name_(std::move(name)) {}
    ~End() override { close(); }

    std::function<void()> on_connected;
    std::function<void(const std::string& why)> on_lost;

    void handle(const std::string& topic, Handler handler) override { handlers_[topic] = std::move(handler); }
    void request(const std::string& to, const std::string& topic, Shareable content, Milliseconds timeout,
                 OnReply on_reply) override;
    void tell(const std::string& to, const std::string& topic, Shareable content) override;
    void post(std::function<void()> work) override;
    void start() override;
    void close() override;

private:
    friend class FakeHub;
    void take(const CallPointer& call);

    FakeHub& hub_;
    const std::string name_;
    std::map<std::string, Handler> handlers_;
    bool connected_ = false;                   ///< the hub's lock guards it, and the next
    std::vector<std::function<void()>> held_;  ///< until it is connected
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> work_;
    bool closed_ = false;
    std::thread thread_;
};

}  // namespace rankexec::job
