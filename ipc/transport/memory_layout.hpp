// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "rankexec/ipc/shared_memory/arena.hpp"
#include "rankexec/ipc/shared_memory/ring.hpp"
#include "rankexec/ipc/shared_memory/segment.hpp"

/// Where things lie in the segments of a parent and its ranks (PROTOCOL.md, section "Shared memory").
namespace rankexec {

/// What its owner has read of the other side.
struct PeerView {
    ReaderState position;
    ArenaReleases releases;
};

/// A segment: views of its owner, then the slots of its owner's arena, then its owner's ring.
class MemoryLayout {
public:
    static constexpr std::size_t size(std::size_t views, std::size_t ring_bytes) {
        return views * sizeof(PeerView) + sizeof(ArenaSlots) + ring_size(ring_bytes);
    }

    MemoryLayout(const Segment& segment, std::size_t views) : bytes_(segment.bytes()), views_(views) {}

    [[nodiscard]] PeerView& view(std::size_t index) const { return reinterpret_cast<PeerView*>(bytes_.data())[index]; }
    [[nodiscard]] ArenaSlots& slots() const {
        return *reinterpret_cast<ArenaSlots*>(bytes_.data() + views_ * sizeof(PeerView));
    }
    [[nodiscard]] std::span<std::byte> ring() const {
        return bytes_.subspan(views_ * sizeof(PeerView) + sizeof(ArenaSlots));
    }

private:
    std::span<std::byte> bytes_;
    std::size_t views_;
};

}  // namespace rankexec
