// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/signal.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

namespace rankexec {

struct Signal::State {
    std::mutex mutex;
    std::condition_variable changed;
    std::atomic<bool> triggered{false};
    std::string reason;
    std::uint64_t next_id = 1;
    std::map<std::uint64_t, std::function<void(const std::string&)>> subscribers;
    // A separate lock around the calls, so that ending a subscription can wait for them while the
    // callbacks themselves may read the signal.
    std::recursive_mutex calling;
};

Signal::Signal() : state_(std::make_shared<State>()) {}

bool Signal::trigger(std::string reason) const {
    const std::lock_guard calling(state_->calling);
    std::map<std::uint64_t, std::function<void(const std::string&)>> subscribers;
    {
        const std::lock_guard lock(state_->mutex);
        if (state_->triggered) return false;
        state_->reason = std::move(reason);
        state_->triggered = true;
        subscribers.swap(state_->subscribers);
    }
    state_->changed.notify_all();
    for (const auto& [id, callback] : subscribers) callback(state_->reason);
    return true;
}

bool Signal::triggered() const noexcept { return state_->triggered; }

std::string Signal::reason() const {
    const std::lock_guard lock(state_->mutex);
    return state_->reason;
}

void Signal::wait() const {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return state_->triggered.load(); });
}

bool Signal::wait_for(std::chrono::nanoseconds time) const {
    std::unique_lock lock(state_->mutex);
    return state_->changed.wait_for(lock, time, [&] { return state_->triggered.load(); });
}

Signal::Subscription Signal::on_trigger(std::function<void(const std::string&)> callback) const {
    {
        const std::lock_guard lock(state_->mutex);
        if (!state_->triggered) {
            const auto id = state_->next_id++;
            state_->subscribers.emplace(id, std::move(callback));
            return {state_, id};
        }
    }
    callback(state_->reason);
    return {};
}

Signal::Subscription::Subscription(std::shared_ptr<State> state, std::uint64_t id)
    : state_(std::move(state)), id_(id) {}
Signal::Subscription::Subscription(Subscription&& other) noexcept
    : state_(std::move(other.state_)), id_(std::exchange(other.id_, 0)) {}
Signal::Subscription& Signal::Subscription::operator=(Subscription&& other) noexcept {
    if (this != &other) {
        reset();
        state_ = std::move(other.state_);
        id_ = std::exchange(other.id_, 0);
    }
    return *this;
}
Signal::Subscription::~Subscription() { reset(); }

void Signal::Subscription::reset() noexcept {
    if (!state_) return;
    {
        const std::lock_guard lock(state_->mutex);
        state_->subscribers.erase(id_);
    }
    // A call that is under way holds this lock.
    { const std::lock_guard calling(state_->calling); }
    state_.reset();
}

}  // namespace rankexec
