// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace rankexec {

/// Puts one sender's events in the order of their numbers, which have no gaps: they come on two ways, from a ring and
/// over a channel, and each way keeps the order only of its own. `Event` has an `event_id`.
template <typename Event>
class EventOrder {
public:
    // ---- on the thread that handles them ----
    /// The event whose turn it is, if it is here.
    std::optional<Event> next() {
        std::optional<Event> due;
        if (ahead_ && ahead_->event_id == last_ + 1) {
            due = std::exchange(ahead_, std::nullopt);
        } else if (from_channel_.load() > 0) {
            const std::lock_guard lock(mutex_);
            const auto found = waiting_.find(last_ + 1);
            if (found == waiting_.end()) return due;
            due = std::move(found->second);
            waiting_.erase(found);
            from_channel_.fetch_sub(1);
        }
        if (due) ++last_;
        return due;
    }
    /// While one event is missing, those behind it stay in the ring, so that there are never more than it holds.
    [[nodiscard]] bool may_read_ring() const noexcept { return !ahead_; }
    /// The next from the ring, when may_read_ring(): comes out of next() in its turn. False: its number came before.
    [[nodiscard]] bool add_from_ring(Event&& event) {
        if (event.event_id <= last_) return false;
        ahead_ = std::move(event);
        return true;
    }

    // ---- on any thread ----
    /// False: its number came before, or too many wait for one that is missing.
    [[nodiscard]] bool add_from_channel(Event&& event) {
        const std::lock_guard lock(mutex_);
        const auto id = event.event_id;
        if (id <= last_ || waiting_.size() >= kMostWaiting) return false;
        if (!waiting_.emplace(id, std::move(event)).second) return false;
        from_channel_.fetch_add(1);
        return true;
    }

private:
    /// Far more than a sender lets go without an answer.
    static constexpr std::size_t kMostWaiting = 8192;

    std::atomic<std::uint64_t> last_{0};  ///< number of the last one that next() gave
    std::optional<Event> ahead_;
    std::atomic<std::size_t> from_channel_{0};  ///< events in waiting_
    std::mutex mutex_;
    std::map<std::uint64_t, Event> waiting_;
};

}  // namespace rankexec
