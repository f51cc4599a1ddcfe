// SPDX-License-Identifier: Apache-2.0
#include "fake_hub.hpp"

#include <utility>

namespace rankexec::job {
namespace {

hub::Reply no_reply(ReturnCode code, std::string message) {
    Failure failure;
    failure.code = code;
    failure.message = std::move(message);
    return tl::unexpected(std::move(failure));
}

}  // namespace

void FakeHub::close() {
    for (auto& end : all_) end->close();
}

FakeHub::End& FakeHub::make(const std::string& name) {
    const std::lock_guard lock(mutex_);
    all_.push_back(std::make_unique<End>(*this, name));
    ends_[name] = all_.back().get();
    return *all_.back();
}

void FakeHub::connect(const std::string& name) {
    std::vector<std::function<void()>> held;
    {
        const std::lock_guard lock(mutex_);
        auto& end = *ends_.at(name);
        end.connected_ = true;
        held.swap(end.held_);
        if (end.on_connected) end.post(end.on_connected);
    }
    for (const auto& work : held) work();
}

void FakeHub::cut(const std::string& name) {
    const std::lock_guard lock(mutex_);
    auto& end = *ends_.at(name);
    end.connected_ = false;
    if (end.on_lost) end.post([&end] { end.on_lost("cut"); });
}

void FakeHub::route(const CallPointer& call) {
    const std::lock_guard lock(mutex_);
    auto& from = *call->from;
    if (!from.connected_) {
        from.held_.emplace_back([this, call] { route(call); });
        return;
    }
    const auto to = ends_.find(call->to);
    if (to != ends_.end() && to->second->connected_) {
        call->taken_by = to->second;
        to->second->post([end = to->second, call] { end->take(call); });
    } else if (call->on_reply) {
        from.post([call] { call->on_reply(no_reply(ReturnCode::not_ready, call->to + " is not connected")); });
    }
}

void FakeHub::reply(const CallPointer& call, hub::Reply reply) {
    if (!call->on_reply) return;
    const std::lock_guard lock(mutex_);
    for (auto* end : {call->taken_by, call->from}) {
        if (end->connected_) continue;
        end->held_.emplace_back([this, call, reply] { this->reply(call, reply); });
        return;
    }
    call->from->post([call, reply = std::move(reply)]() mutable { call->on_reply(std::move(reply)); });
}

void FakeHub::End::take(const CallPointer& call) {
    const auto handler = handlers_.find(call->topic);
    if (handler == handlers_.end()) {
        hub_.reply(call, no_reply(ReturnCode::bad_request_data, name_ + " takes no " + call->topic));
        return;
    }
    handler->second({call->from->name_, call->topic, call->content},
                    [hub = &hub_, call](Shareable reply) { hub->reply(call, std::move(reply)); });
}

void FakeHub::End::request(const std::string& to, const std::string& topic, Shareable content, Milliseconds /*timeout*/,
                           OnReply on_reply) {
    hub_.route(std::make_shared<Call>(Call{this, to, topic, std::move(content), std::move(on_reply)}));
}

void FakeHub::End::tell(const std::string& to, const std::string& topic, Shareable content) {
    hub_.route(std::make_shared<Call>(Call{this, to, topic, std::move(content), {}}));
}

void FakeHub::End::post(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    work_.push_back(std::move(work));
    changed_.notify_all();
}

void FakeHub::End::start() {
    thread_ = std::thread([this] {
        std::unique_lock lock(mutex_);
        while (true) {
            changed_.wait(lock, [&] { return closed_ || !work_.empty(); });
            if (closed_) return;
            auto work = std::move(work_.front());
            work_.pop_front();
            lock.unlock();
            work();
            work = nullptr;
            lock.lock();
        }
    });
}

void FakeHub::End::close() {
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        work_.clear();
        changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
}

}  // namespace rankexec::job
