// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/pipe/pipe_mailbox.hpp"

#include <algorithm>
#include <utility>

namespace rankexec::pipe {
namespace {

/// Messages that were given up and may still be confirmed.
constexpr std::size_t kGivenUp = 64;
/// More than can be on their way at the same time.
constexpr std::size_t kRecent = 4096;

}  // namespace

std::list<PipeMailbox::Outgoing>::iterator PipeMailbox::find(const std::string& id) {
    return std::ranges::find(outgoing_, id, &Outgoing::id);
}

void PipeMailbox::hold(const std::string& id, std::vector<wire::Frame> frames) {
    const std::lock_guard lock(mutex_);
    auto entry = find(id);
    if (entry == outgoing_.end()) entry = outgoing_.insert(outgoing_.end(), Outgoing{id, {}, 0, false});
    entry->frames = std::move(frames);
}

void PipeMailbox::release(const std::string& id) {
    const std::lock_guard lock(mutex_);
    const auto entry = find(id);
    if (entry == outgoing_.end()) return;
    entry->frames.clear();
    if (entry->confirmed || entry->connection == 0) {
        outgoing_.erase(entry);
        return;
    }
    const auto given_up = [](const Outgoing& outgoing) { return outgoing.frames.empty(); };
    if (static_cast<std::size_t>(std::ranges::count_if(outgoing_, given_up)) > kGivenUp) {
        outgoing_.erase(std::ranges::find_if(outgoing_, given_up));
    }
}

bool PipeMailbox::confirmed(const std::string& id) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(outgoing_, [&](const Outgoing& entry) { return entry.id == id && entry.confirmed; });
}

void PipeMailbox::confirm(const std::string& id) {
    {
        const std::lock_guard lock(mutex_);
        const auto entry = find(id);
        if (entry == outgoing_.end()) return;
        entry->confirmed = true;
    }
    room.notify();
}

std::vector<std::vector<wire::Frame>> PipeMailbox::to_put(std::uint64_t connection) {
    const std::lock_guard lock(mutex_);
    std::vector<std::vector<wire::Frame>> messages;
    for (auto& entry : outgoing_) {
        if (entry.frames.empty() || entry.confirmed || entry.connection == connection) continue;
        entry.connection = connection;
        messages.push_back(entry.frames);
    }
    return messages;
}

void PipeMailbox::put_again() {
    const std::lock_guard lock(mutex_);
    for (auto& entry : outgoing_) entry.connection = 0;
}

PipeMailbox::Taken PipeMailbox::take(PipeMessage message) {
    {
        const std::lock_guard lock(mutex_);
        if (known_.contains(message.id)) return Taken::known;
        if (queue_.size() >= capacity_) {
            turned_away_ = true;
            return Taken::no_room;
        }
        known_.insert(message.id);
        recent_.push_back(message.id);
        if (recent_.size() > kRecent) {
            known_.erase(recent_.front());
            recent_.pop_front();
        }
        queue_.emplace_back(std::move(message));
    }
    room.notify();
    return Taken::queued;
}

void PipeMailbox::take_heartbeat(PipeMessage message) {
    {
        const std::lock_guard lock(mutex_);
        heartbeat_ = std::move(message);
    }
    room.notify();
}

void PipeMailbox::take_error(PipeError error) {
    {
        const std::lock_guard lock(mutex_);
        if (queue_.size() >= capacity_) return;  // it had no call that waits for an answer
        queue_.emplace_back(tl::unexpected(std::move(error)));
    }
    room.notify();
}

std::optional<Pipe::Received> PipeMailbox::next(bool& made_room) {
    const std::lock_guard lock(mutex_);
    if (heartbeat_) {
        Pipe::Received heartbeat(std::exchange(heartbeat_, std::nullopt));
        return heartbeat;
    }
    if (queue_.empty()) return std::nullopt;
    auto first = std::move(queue_.front());
    queue_.pop_front();
    made_room = turned_away_ && queue_.size() <= capacity_ / 2;
    if (made_room) turned_away_ = false;
    return first;
}

void PipeMailbox::clear() {
    const std::lock_guard lock(mutex_);
    queue_.clear();
    heartbeat_.reset();
    std::erase_if(outgoing_, [](const Outgoing& entry) { return entry.frames.empty(); });
}

}  // namespace rankexec::pipe
