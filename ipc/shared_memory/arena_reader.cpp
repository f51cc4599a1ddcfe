// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "rankexec/ipc/shared_memory/arena.hpp"
#include "rankexec/ipc/shared_memory/fork_count.hpp"

namespace rankexec {

struct ArenaReader::State {
    struct Mapped {
        std::shared_ptr<Segment> segment;
        std::uint64_t number = 0;
        std::uint64_t last_use = 0;  ///< that came in a message
        std::size_t holds = 0;       ///< of what was taken
    };

    State(ArenaReleases& memory, std::shared_ptr<const void> keep) : releases(&memory), owner(std::move(keep)) {}

    /// With the mutex held.
    void release_if_unused(std::size_t index) {
        const auto& slot = mapped.at(index);
        if (slot.holds == 0) releases->uses.at(index).store(slot.last_use, std::memory_order_release);
    }

    const std::uint32_t forks = fork_count();
    std::mutex mutex;
    ArenaReleases* releases;
    std::shared_ptr<const void> owner;
    std::array<Mapped, kArenaSlots> mapped;
};

ArenaReader::ArenaReader(const ArenaSlots& slots, ArenaReleases& releases, std::shared_ptr<const void> owner,
                         Fetch fetch)
    : state_(std::make_shared<State>(releases, std::move(owner))), slots_(&slots), fetch_(std::move(fetch)) {}

tl::expected<ArenaReader::Taken, std::string> ArenaReader::take(const ArenaReference& reference) {
    const auto wrong = [](const char* what) {
        return tl::unexpected(std::string("a reference into shared memory makes no sense: ") + what);
    };
    if (reference.slot >= kArenaSlots) return wrong("there is no such slot");
    if (reference.offset > reference.segment_size || reference.length > reference.segment_size - reference.offset) {
        return wrong("it leaves its segment");
    }
    const auto index = static_cast<std::size_t>(reference.slot);
    auto& slot = state_->mapped.at(index);
    std::unique_lock lock(state_->mutex);
    slot.last_use = std::max(slot.last_use, reference.use);
    if (!slot.segment || slot.number != reference.segment) {
        // What is still held of the former segment keeps that mapping, and the writer keeps the slot meanwhile.
        if (slot.holds > 0) return wrong("its slot is in use");
        slot.segment.reset();
        lock.unlock();
        auto fetched = fetch_(reference.segment, reference.segment_size);
        lock.lock();
        if (fetched && (*fetched)->bytes().size() != reference.segment_size) {
            fetched = tl::unexpected(std::string("its segment has another size"));
        }
        if (!fetched) {
            state_->release_if_unused(index);
            return tl::unexpected(fetched.error());
        }
        slot.segment = std::move(*fetched);
        slot.number = reference.segment;
    }
    if (slot.segment->bytes().size() != reference.segment_size) return wrong("its segment has another size");
    ++slot.holds;
    const auto segment = slot.segment;
    const auto bytes = segment->bytes().subspan(reference.offset, reference.length);
    lock.unlock();
    return Taken{bytes, std::shared_ptr<const void>(bytes.data(), [state = state_, segment, index](const void*) {
                     if (state->forks != fork_count()) return;  // our parent still holds it
                     const std::lock_guard held(state->mutex);
                     --state->mapped.at(index).holds;
                     state->release_if_unused(index);
                 })};
}

void ArenaReader::drop_unused() {
    const auto changes = slots_->changes.load(std::memory_order_acquire);
    if (changes == seen_changes_) return;
    seen_changes_ = changes;
    const std::lock_guard lock(state_->mutex);
    for (std::size_t index = 0; index < kArenaSlots; ++index) {
        auto& slot = state_->mapped.at(index);
        const bool dropped = slot.segment && slots_->segments.at(index).load(std::memory_order_relaxed) != slot.number;
        if (dropped && slot.holds == 0) slot.segment.reset();
    }
}

}  // namespace rankexec
