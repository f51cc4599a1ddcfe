// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "rankexec/ipc/pipe/pipe.hpp"
#include "rankexec/ipc/pipe/wait_room.hpp"

namespace rankexec::test {

/// A pipe without a peer: the test is the peer.
class FakePipe final : public Pipe {
public:
    // ---- the test's side ----
    void arrives(Received message) {
        {
            const std::lock_guard lock(mutex_);
            incoming_.push_back(std::move(message));
        }
        room_.notify();
    }
    /// What becomes of the n-th attempt to send anything but heartbeats, from 0; empty: taken.
    std::function<Result(int attempt)> outcome;
    /// Whether an attempt lasts until this changes (and wake()), it is cancelled, or its time-out.
    std::atomic<bool> hangs = false;
    std::atomic<bool> resends = true;
    std::atomic<int> attempts = 0;
    std::atomic<int> encoded = 0;
    std::atomic<int> heartbeats = 0;
    std::atomic<int> receives = 0;  ///< calls that were begun: what came before was dealt with
    std::atomic<bool> was_closed = false;
    std::atomic<std::int64_t> look_interval = 0;
    std::atomic<int> opened = 0;
    std::atomic<int> cleared = 0;
    std::string open_error;    ///< not empty: it cannot be opened
    std::string encode_error;  ///< not empty: no message is one
    std::vector<Milliseconds> timeouts() {
        const std::lock_guard lock(mutex_);
        return timeouts_;
    }
    std::vector<std::string> topics() {
        const std::lock_guard lock(mutex_);
        return topics_;
    }
    /// What was sent but heartbeats, each attempt.
    std::vector<PipeMessage> messages() {
        const std::lock_guard lock(mutex_);
        return messages_;
    }
    bool all_read() {
        const std::lock_guard lock(mutex_);
        return incoming_.empty() && waiting_;
    }
    /// Until the condition holds; whoever changes something here wakes this.
    template <typename Condition>
    bool wait_until(const Condition& condition, Milliseconds timeout = std::chrono::seconds(10)) {
        const auto deadline = pipe::deadline_after(timeout);
        while (true) {
            const auto seen = room_.changes();
            if (condition()) return true;
            if (pipe::Clock::now() >= deadline) return false;
            room_.wait(seen, deadline);
        }
    }
    void wake() { room_.notify(); }

    // ---- the handler's side ----
    tl::expected<void, Failure> open(Milliseconds) override {
        ++opened;
        if (open_error.empty()) return {};
        Failure failure;
        failure.message = open_error;
        return tl::unexpected(failure);
    }
    void close() override {
        was_closed = true;
        arrives(tl::unexpected(PipeError{PipeError::Kind::closed, "closed"}));
    }
    void clear() override {
        const std::lock_guard lock(mutex_);
        incoming_.clear();
        ++cleared;
    }
    tl::expected<pipe::EncodedMessage, PipeError> encode(const PipeMessage& message) const override {
        if (!message.is_heartbeat()) ++const_cast<FakePipe*>(this)->encoded;
        if (!encode_error.empty() && !message.is_status()) {
            return tl::unexpected(PipeError{PipeError::Kind::bad_message, encode_error});
        }
        {
            const std::lock_guard lock(mutex_);
            contents_[message.id] = message;
        }
        return pipe::encode(message).value();
    }
    using Pipe::send;
    Result send(const pipe::EncodedMessage& message, Milliseconds timeout, const Signal& cancel) override {
        if (message.topic == kHeartbeatTopic) {
            ++heartbeats;
            room_.notify();
            return {};
        }
        {
            const std::lock_guard lock(mutex_);
            timeouts_.push_back(timeout);
            topics_.push_back(message.topic);
            messages_.push_back(contents_[message.id]);
        }
        const int attempt = attempts++;
        room_.notify();
        if (hangs) {
            const auto subscription = room_.follow(cancel);
            const bool over = wait_until([&] { return !hangs || cancel.triggered(); }, timeout);
            if (cancel.triggered()) return tl::unexpected(PipeError{PipeError::Kind::cancelled, cancel.reason()});
            if (!over) return tl::unexpected(PipeError{PipeError::Kind::not_taken, "nobody"});
        }
        return outcome ? outcome(attempt) : Result{};
    }
    Received receive(Milliseconds timeout, const Signal& cancel) override {
        ++receives;
        room_.notify();
        const auto subscription = room_.follow(cancel);
        const auto deadline = pipe::deadline_after(timeout);
        while (true) {
            const auto seen = room_.changes();
            {
                const std::lock_guard lock(mutex_);
                waiting_ = incoming_.empty();
                if (!incoming_.empty()) {
                    auto first = std::move(incoming_.front());
                    incoming_.pop_front();
                    return first;
                }
            }
            if (cancel.triggered()) return tl::unexpected(PipeError{PipeError::Kind::cancelled, cancel.reason()});
            if (pipe::Clock::now() >= deadline) return std::nullopt;
            room_.wait(seen, deadline);
        }
    }
    bool can_resend() const noexcept override { return resends; }
    void look_every(Milliseconds interval) override { look_interval = interval.count(); }
    std::string describe() const override { return "fake pipe"; }

private:
    mutable std::mutex mutex_;
    pipe::WaitRoom room_;
    mutable std::map<std::string, PipeMessage> contents_;  ///< by id
    std::vector<PipeMessage> messages_;
    bool waiting_ = false;
    std::deque<Received> incoming_;
    std::vector<Milliseconds> timeouts_;
    std::vector<std::string> topics_;
};

}  // namespace rankexec::test
