// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/channel/event_lane.hpp"

#include <utility>

namespace rankexec {

EventLane::EventLane() {
    const std::lock_guard lock(mutex_);
    thread_ = std::thread([this] { run(); });
    lane_thread_ = thread_.get_id();
}

EventLane::~EventLane() {
    request_stop("closed");
    join();
}

void EventLane::post(std::function<void()> handler) {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        queue_.push_back(std::move(handler));
    }
    changed_.notify_all();
}

void EventLane::request_stop(const std::string& reason) {
    std::deque<std::function<void()>> dropped;
    {
        const std::lock_guard lock(mutex_);
        if (!stopping_) reason_ = reason;
        stopping_ = true;
        dropped.swap(queue_);
    }
    changed_.notify_all();
}

void EventLane::join() {
    if (thread_.joinable()) thread_.join();
}

bool EventLane::on_lane() const noexcept { return std::this_thread::get_id() == lane_thread_; }

int EventLane::depth() const {
    const std::lock_guard lock(mutex_);
    return on_lane() ? depth_ : 0;
}

void EventLane::settle(const std::shared_ptr<PendingAnswer>& answer, ContextChanges changes, std::string error) {
    {
        const std::lock_guard lock(mutex_);
        if (answer->settled) return;
        answer->changes = std::move(changes);
        answer->error = std::move(error);
        answer->settled = true;
    }
    changed_.notify_all();
}

void EventLane::wait(const std::shared_ptr<PendingAnswer>& answer, std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    const bool serving = on_lane();
    if (serving) ++depth_;
    while (!answer->settled && !stopping_) {
        if (serving && !queue_.empty()) {
            serve_one(lock);
        } else if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) {
            break;
        }
    }
    if (serving) --depth_;
    if (!answer->settled) {
        answer->error = stopping_ ? reason_ : "no answer in time";
        answer->settled = true;
    }
}

void EventLane::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
        if (stopping_) return;
        serve_one(lock);
    }
}

void EventLane::serve_one(std::unique_lock<std::mutex>& lock) {
    auto handler = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    handler();
    handler = nullptr;
    lock.lock();
}

}  // namespace rankexec
