// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "rankexec/core/model/context.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// The answer to an event that was sent to the other side. Filled in through its EventLane.
struct PendingAnswer {
    bool settled = false;
    ContextChanges changes;
    std::string error;  ///< why there is no answer; empty: there is one
};

/// The one thread of a process that handles the other side's events, one at a time.
///
/// A handler may itself send an event and wait for its answer, and the other side may send an event
/// before it answers: so whoever waits on the lane's thread serves incoming events meanwhile, to a
/// depth of kMaxDepth. Other threads just wait. All member functions may be called from any thread.
class RANKEXEC_EXPORT EventLane {
public:
    static constexpr int kMaxDepth = 16;

    EventLane();
    ~EventLane();  ///< stops and joins; not on the lane's own thread
    EventLane(const EventLane&) = delete;
    EventLane& operator=(const EventLane&) = delete;

    /// Queues a handler. After request_stop(): nothing.
    void post(std::function<void()> handler);

    /// Drops what is queued; waits that are under way, and later ones, end with `reason` as error.
    void request_stop(const std::string& reason);
    /// Waits until the running handler has ended. After request_stop(), not on the lane's own thread.
    void join();

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

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> queue_;
    bool stopping_ = false;
    std::string reason_;
    int depth_ = 0;
    std::thread thread_;
    std::thread::id lane_thread_;
};

}  // namespace rankexec
