// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "rankexec/core/model/context.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/shared_memory/futex.hpp"

namespace rankexec {

/// The answer to an event that was sent to the other side. Filled in through its EventLane.
struct PendingAnswer {
    bool settled = false;
    ContextChanges changes;
    std::string error;  ///< why there is no answer; empty: there is one
};

/// Where a lane's events, and answers to events, come from without being posted: memory that nobody announces.
class RANKEXEC_EXPORT EventSource {
public:
    virtual ~EventSource() = default;
    /// Handles the next event, if there is one. On the lane's thread, also while a handler waits for an answer there.
    virtual bool serve() = 0;
    /// Whether threads that wait for an answer shall take answers themselves.
    [[nodiscard]] virtual bool has_answers() const noexcept = 0;
    /// Settles the next answer, of whomever, if there is one. One thread at a time.
    virtual bool take_answer() = 0;
    /// Waits until there may be something for serve() (if `events`: on the lane's thread) or for take_answer() (if
    /// `answers`: on one thread at a time), or as Interrupt::wait.
    virtual void wait(bool events, bool answers, const Interrupt& interrupt, std::uint32_t seen,
                      std::optional<std::chrono::steady_clock::time_point> deadline) = 0;
};

/// The one thread of a process that handles the other side's events, one at a time.
///
/// A handler may itself send an event and wait for its answer, and the other side may send an event
/// before it answers: so whoever waits on the lane's thread serves incoming events meanwhile, to a
/// depth of kMaxDepth. Other threads just wait, but for one of them, which takes the answers that a source has, for
/// all: an answer from memory then reaches whoever waits for it without another thread in between. All member functions
/// may be called from any thread.
class RANKEXEC_EXPORT EventLane {
public:
    static constexpr int kMaxDepth = 16;

    EventLane();
    ~EventLane();  ///< stops and joins; not on the lane's own thread
    EventLane(const EventLane&) = delete;
    EventLane& operator=(const EventLane&) = delete;

    /// Queues a handler. After request_stop(): nothing.
    void post(std::function<void()> handler);

    /// Besides what is posted. Replaces the one before, which may be in use until its next call returns; nullptr: none.
    void set_source(std::shared_ptr<EventSource> source);
    /// The source has something that its wait() does not see.
    void wake();

    /// Drops what is queued; waits that are under way, and later ones, end with `reason` as error.
    void request_stop(const std::string& reason);
    /// Waits until the running handler has ended. After request_stop(), not on the lane's own thread.
    void join();
    /// Waits until what was posted before has been handled, at most that long. Not on the lane's own thread.
    void flush(std::chrono::milliseconds patience);

    [[nodiscard]] bool on_lane() const noexcept;
    /// How many waits are nested on the lane's thread, 0 elsewhere.
    [[nodiscard]] int depth() const;

    /// Fills the answer in and wakes whoever waits for it.
    void settle(const std::shared_ptr<PendingAnswer>& answer, ContextChanges changes, std::string error);

    /// Waits until the answer is settled or the deadline has passed; then the error says so.
    void wait(const std::shared_ptr<PendingAnswer>& answer, std::chrono::steady_clock::time_point deadline);

private:
    void run();
    void serve_one(std::unique_lock<std::mutex>& lock);
    [[nodiscard]] bool may_take_answers(const EventSource& source) const;
    void wait_with_source(std::unique_lock<std::mutex>& lock, bool serving, const PendingAnswer& answer,
                          std::chrono::steady_clock::time_point deadline);

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Interrupt interrupt_;  ///< for those that wait in a source
    std::deque<std::function<void()>> queue_;
    std::shared_ptr<EventSource> source_;
    bool stopping_ = false;
    std::string reason_;
    int depth_ = 0;
    bool lane_in_source_ = false;     ///< its thread is in a source, for events
    int waiters_in_source_ = 0;       ///< that wait for answers, or for being told that theirs has come
    bool reading_answers_ = false;    ///< one of them takes the answers
    std::thread::id answers_reader_;  ///< who
    std::thread thread_;
    std::thread::id lane_thread_;
};

}  // namespace rankexec
