// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "rankexec/ipc/shared_memory/arena.hpp"
#include "rankexec/ipc/shared_memory/ring.hpp"
#include "rankexec/ipc/shared_memory/segment.hpp"

/// Where things lie in the segments of a parent and its ranks (PROTOCOL.md, section "Shared memory").
namespace rankexec {

/// So that what follows a ring is aligned like the ring.
[[nodiscard]] constexpr bool are_ring_capacities(auto... bytes) {
    return (... && (is_ring_capacity(bytes) && bytes >= alignof(WriterState)));
}

/// What its owner has read of the other side.
struct PeerView {
    ReaderState position;
    ArenaReleases releases;
};

/// The parent's segment: what it has read of each rank; its arena's slots; the rings to all, of tasks and of events; to
/// each rank a ring of answers to its events.
class ParentLayout {
public:
    static constexpr std::size_t size(std::size_t ranks, std::size_t task_bytes, std::size_t event_bytes) {
        return ranks * (sizeof(PeerView) + sizeof(ReaderState)) + sizeof(ArenaSlots) + ring_size(task_bytes) +
               (1 + ranks) * ring_size(event_bytes);
    }
    ParentLayout(const Segment& segment, std::size_t ranks, std::size_t task_bytes, std::size_t event_bytes)
        : bytes_(segment.bytes()), ranks_(ranks), task_bytes_(task_bytes), event_bytes_(event_bytes) {}

    [[nodiscard]] PeerView& view(std::size_t rank) const { return reinterpret_cast<PeerView*>(bytes_.data())[rank]; }
    /// Of the rank's ring of events.
    [[nodiscard]] ReaderState& event_position(std::size_t rank) const {
        return reinterpret_cast<ReaderState*>(bytes_.data() + ranks_ * sizeof(PeerView))[rank];
    }
    [[nodiscard]] ArenaSlots& slots() const {
        return *reinterpret_cast<ArenaSlots*>(bytes_.data() + ranks_ * (sizeof(PeerView) + sizeof(ReaderState)));
    }
    [[nodiscard]] std::span<std::byte> tasks() const { return bytes_.subspan(rings(), ring_size(task_bytes_)); }
    [[nodiscard]] std::span<std::byte> events() const { return event_ring(0); }
    [[nodiscard]] std::span<std::byte> answers(std::size_t rank) const { return event_ring(1 + rank); }

private:
    [[nodiscard]] std::size_t rings() const {
        return ranks_ * (sizeof(PeerView) + sizeof(ReaderState)) + sizeof(ArenaSlots);
    }
    [[nodiscard]] std::span<std::byte> event_ring(std::size_t index) const {
        const auto size = ring_size(event_bytes_);
        return bytes_.subspan(rings() + ring_size(task_bytes_) + index * size, size);
    }

    std::span<std::byte> bytes_;
    std::size_t ranks_;
    std::size_t task_bytes_;
    std::size_t event_bytes_;
};

/// A rank's segment: what it has read of the parent's tasks, events, and answers to its own events; its arena's slots;
/// its rings of results and of events.
class RankLayout {
public:
    static constexpr std::size_t size(std::size_t result_bytes, std::size_t event_bytes) {
        return kRings + ring_size(result_bytes) + ring_size(event_bytes);
    }
    RankLayout(const Segment& segment, std::size_t result_bytes, std::size_t event_bytes)
        : bytes_(segment.bytes()), result_bytes_(result_bytes), event_bytes_(event_bytes) {}

    [[nodiscard]] PeerView& view() const { return *reinterpret_cast<PeerView*>(bytes_.data()); }
    [[nodiscard]] ReaderState& event_position() const { return positions()[0]; }
    [[nodiscard]] ReaderState& answer_position() const { return positions()[1]; }
    [[nodiscard]] ArenaSlots& slots() const {
        return *reinterpret_cast<ArenaSlots*>(bytes_.data() + kRings - sizeof(ArenaSlots));
    }
    [[nodiscard]] std::span<std::byte> results() const { return bytes_.subspan(kRings, ring_size(result_bytes_)); }
    [[nodiscard]] std::span<std::byte> events() const {
        return bytes_.subspan(kRings + ring_size(result_bytes_), ring_size(event_bytes_));
    }

    static constexpr std::size_t kRings =
        sizeof(PeerView) + 2 * sizeof(ReaderState) + sizeof(ArenaSlots);  ///< where they begin

private:
    [[nodiscard]] ReaderState* positions() const {
        return reinterpret_cast<ReaderState*>(bytes_.data() + sizeof(PeerView));
    }

    std::span<std::byte> bytes_;
    std::size_t result_bytes_;
    std::size_t event_bytes_;
};

}  // namespace rankexec
