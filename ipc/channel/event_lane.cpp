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
    bool in_source = false;
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        queue_.push_back(std::move(handler));
        in_source = lane_in_source_;
    }
    changed_.notify_all();
    if (in_source) interrupt_.ring();
}

void EventLane::set_source(std::shared_ptr<EventSource> source) {
    {
        const std::lock_guard lock(mutex_);
        source_.swap(source);
    }
    wake();
}

void EventLane::wake() {
    changed_.notify_all();
    interrupt_.ring();
}

void EventLane::request_stop(const std::string& reason) {
    std::deque<std::function<void()>> dropped;
    {
        const std::lock_guard lock(mutex_);
        if (!stopping_) reason_ = reason;
        stopping_ = true;
        dropped.swap(queue_);
    }
    wake();
}

void EventLane::flush(std::chrono::milliseconds patience) {
    const auto reached = std::make_shared<PendingAnswer>();
    post([this, reached] { settle(reached, {}, {}); });
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [&] { return reached->settled || stopping_; });
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
    bool others = false;
    {
        const std::lock_guard lock(mutex_);
        if (answer->settled) return;
        answer->changes = std::move(changes);
        answer->error = std::move(error);
        answer->settled = true;
        // Who takes the answers looks at its own before it waits again.
        const bool reader = reading_answers_ && answers_reader_ == std::this_thread::get_id();
        others = waiters_in_source_ > (reader ? 1 : 0);
    }
    changed_.notify_all();
    if (others) interrupt_.ring();
}

void EventLane::wait(const std::shared_ptr<PendingAnswer>& answer, std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    const bool serving = on_lane();
    if (serving) ++depth_;
    while (!answer->settled && !stopping_) {
        if (serving && !queue_.empty()) {
            serve_one(lock);
        } else if (source_ && (serving || may_take_answers(*source_))) {
            if (std::chrono::steady_clock::now() >= deadline) break;
            wait_with_source(lock, serving, *answer, deadline);
        } else if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) {
            break;
        }
    }
    if (serving) --depth_;
    // Another one takes the answers from now on.
    changed_.notify_all();
    if (waiters_in_source_ > 0) interrupt_.ring();
    if (!answer->settled) {
        answer->error = stopping_ ? reason_ : "no answer in time";
        answer->settled = true;
    }
}

/// With the lock.
bool EventLane::may_take_answers(const EventSource& source) const { return source.has_answers() && !reading_answers_; }

void EventLane::wait_with_source(std::unique_lock<std::mutex>& lock, bool serving, const PendingAnswer& answer,
                                 std::chrono::steady_clock::time_point deadline) {
    const auto source = source_;
    ++waiters_in_source_;
    if (serving) lane_in_source_ = true;
    // Before anything is looked at: what is rung for after that ends the wait.
    const auto seen = interrupt_.value();
    const auto without_lock = [&lock](const auto& act) {
        lock.unlock();
        act();
        lock.lock();
    };
    const auto reading_answers = [&](const auto& act) {
        reading_answers_ = true;
        answers_reader_ = std::this_thread::get_id();
        without_lock(act);
        reading_answers_ = false;
    };
    bool found = false;
    if (may_take_answers(*source)) reading_answers([&] { found = source->take_answer(); });
    // Not while it reads answers: a handler may wait for one, and others for theirs, of whom one takes them from now
    // on.
    if (!found && serving) {
        changed_.notify_all();
        without_lock([&] { found = source->serve(); });
    }
    if (!found && !answer.settled && !stopping_) {
        const bool reads = may_take_answers(*source);
        const auto sleep = [&] { source->wait(serving, reads, interrupt_, seen, deadline); };
        if (reads) {
            reading_answers(sleep);
        } else if (serving) {
            without_lock(sleep);
        }
    }
    --waiters_in_source_;
    if (serving) lane_in_source_ = false;
}

void EventLane::run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        if (!queue_.empty()) {
            serve_one(lock);
        } else if (const auto source = source_) {
            lane_in_source_ = true;
            const auto seen = interrupt_.value();
            lock.unlock();
            if (!source->serve()) source->wait(true, false, interrupt_, seen, std::nullopt);
            lock.lock();
            lane_in_source_ = false;
        } else {
            changed_.wait(lock, [&] { return stopping_ || !queue_.empty() || source_; });
        }
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
