// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/shared_memory/arena.hpp"
#include "rankexec/ipc/shared_memory/ring.hpp"
#include "rankexec/ipc/transport/memory_ring.hpp"
#include "rankexec/ipc/wire/packed_frames.hpp"

/// One direction between a parent and ranks: a ring for messages, an arena for what is large in them.
namespace rankexec {

/// Frames of tensors from this size on go through the arena: below, a copy into the ring and out of it costs less than
/// a slot does.
inline constexpr std::size_t kArenaThreshold = std::size_t{16} * 1024;

/// One thread sends; allocate() on any thread.
class RANKEXEC_EXPORT MemoryWriter {
public:
    /// `ring` is the ring's memory, `slots` the arena's; both zeroed, and kept alive by `owner`.
    MemoryWriter(std::span<std::byte> ring, ArenaSlots& slots, const std::shared_ptr<const void>& owner,
                 ArenaWriter::MakeSegment make);

    /// As RingWriter::add_reader and ArenaWriter::add_reader.
    void add_reader(const ReaderState& position, const ArenaReleases& releases, std::shared_ptr<const void> owner);
    void remove_reader(const ReaderState& position, const ArenaReleases& releases);
    [[nodiscard]] std::uint64_t position() const noexcept { return ring_.position(); }

    /// Sends one message to all readers. A tensor's frame that lies in a block of the arena is not copied, another
    /// large one once. False, and nothing is sent, when ring or arena has no room for it, or never will.
    [[nodiscard]] bool send(std::span<const wire::Frame> frames);

    /// Memory for a tensor that will be sent; nullptr when there is none.
    [[nodiscard]] ArenaBlock allocate(std::size_t size) { return arena_.allocate(size); }
    [[nodiscard]] const ArenaWriter& arena() const noexcept { return arena_; }

private:
    RingWriter ring_;
    ArenaWriter arena_;
    wire::FramePacker packer_;
    // Used again for each message.
    std::vector<wire::PackedFrame> packed_;
    std::vector<ArenaReference> references_;
};

/// One thread receives, one waits.
class RANKEXEC_EXPORT MemoryReader {
public:
    /// `ring` and `slots` are the writer's memory; `position` and `releases` our own. `owner` keeps all of it alive.
    MemoryReader(std::span<const std::byte> ring, ReaderState& position, const ArenaSlots& slots,
                 ArenaReleases& releases, std::shared_ptr<const void> owner, ArenaReader::Fetch fetch);

    [[nodiscard]] MemoryReceived receive();
    /// As RingReader::has_message and RingWaiter::wait.
    [[nodiscard]] bool has_message() const noexcept { return ring_.has_message(); }
    bool wait(const Interrupt& interrupt, std::uint32_t seen,
              std::optional<std::chrono::steady_clock::time_point> deadline) {
        RingReader* const ring = &ring_;
        return waiter_.wait(std::span(&ring, 1), interrupt, seen, deadline);
    }

private:
    RingReader ring_;
    RingWaiter waiter_;
    ArenaReader arena_;
};

}  // namespace rankexec
