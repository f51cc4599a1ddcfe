// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/shared_memory/segment.hpp"

/// Large payloads of messages, which their readers use where they lie: written once for any number of readers, and not
/// copied when they come out of a ring.
///
/// An arena has slots, each of which holds one segment of one writer. A message refers to bytes in a slot; each time it
/// does is a *use* of the slot, counted up. A reader writes into memory of its own which use of a slot it has released
/// last, and the writer writes nothing into a slot before every reader has released its last use, and nobody holds it
/// here. Segments are made when there is no slot to be used again, within a limit, and dropped when they have not been
/// used for a while.
///
/// As with rings, what the other side could have written is copied before it is checked. A reader that releases early
/// sees later bytes, one that never releases keeps that memory from being used again; neither harms anyone else.
namespace rankexec {

inline constexpr std::size_t kArenaSlots = 64;

/// In the writer's memory: the number of the segment in each slot; 0: none.
struct ArenaSlots {
    alignas(64) std::atomic<std::uint64_t> changes{0};  ///< counted up after each change of a segment
    std::array<std::atomic<std::uint64_t>, kArenaSlots> segments{};
};

/// In a reader's memory: the last use of each slot that it has released.
struct ArenaReleases {
    alignas(64) std::array<std::atomic<std::uint64_t>, kArenaSlots> uses{};
};

/// Stands in a message for bytes in an arena.
struct ArenaReference {
    std::uint64_t slot = 0;
    std::uint64_t use = 0;
    std::uint64_t segment = 0;       ///< its number, which is never given again
    std::uint64_t segment_size = 0;  ///< in bytes
    std::uint64_t offset = 0;        ///< in the segment
    std::uint64_t length = 0;
};
static_assert(sizeof(ArenaReference) == 48);

/// Memory in a slot, to be written before it is sent. The last copy of the handle frees the slot, as far as this
/// process is concerned; the memory stays mapped as long.
using ArenaBlock = std::shared_ptr<const std::span<std::byte>>;

/// Any thread.
class RANKEXEC_EXPORT ArenaWriter {
public:
    /// Makes the segment with that number, or fails with what is missing. Called without a lock held.
    using MakeSegment =
        std::function<tl::expected<std::shared_ptr<Segment>, std::string>(std::uint64_t number, std::size_t size)>;

    /// `slots` is zeroed, and kept alive by `owner`.
    ArenaWriter(ArenaSlots& slots, std::shared_ptr<const void> owner, MakeSegment make);
    ~ArenaWriter();
    ArenaWriter(const ArenaWriter&) = delete;
    ArenaWriter& operator=(const ArenaWriter&) = delete;

    /// Everything that is sent from now on is sent to this reader too. Its memory is kept alive by `owner`.
    void add_reader(const ArenaReleases& releases, std::shared_ptr<const void> owner);
    /// It has ended: nothing of it is waited for any more.
    void remove_reader(const ArenaReleases& releases);

    /// `size` bytes, aligned for every type; their content is whatever was there before. nullptr when the arena is
    /// full: every slot is in use, or no segment can be made.
    [[nodiscard]] ArenaBlock allocate(std::size_t size);

    /// What a message is to say of these bytes; nothing when they do not lie in a block of this arena.
    [[nodiscard]] std::optional<ArenaReference> refer_to(std::span<const std::byte> bytes) const;
    /// A message with these references was sent: every reader will release them. While sending, the blocks are held.
    void sent(std::span<const ArenaReference> references);

    /// The segment with that number, for a reader that does not have it yet; nullptr: there is none any more.
    [[nodiscard]] std::shared_ptr<Segment> segment(std::uint64_t number) const;

private:
    struct State;
    std::shared_ptr<State> state_;
};

/// take() and drop_unused() on one thread; what was taken may be let go on any thread, and after this has gone.
class RANKEXEC_EXPORT ArenaReader {
public:
    /// Gets the segment with that number from the writer, of that size, or fails with what is missing.
    using Fetch =
        std::function<tl::expected<std::shared_ptr<Segment>, std::string>(std::uint64_t number, std::size_t size)>;

    /// `slots` is the writer's, `releases` our own memory, zeroed; both are kept alive by `owner`.
    ArenaReader(const ArenaSlots& slots, ArenaReleases& releases, std::shared_ptr<const void> owner, Fetch fetch);

    struct Taken {
        std::span<const std::byte> bytes;
        std::shared_ptr<const void> owner;  ///< the slot is released with the last copy
    };
    /// The bytes, where they lie. Fails when the reference makes no sense, or its segment cannot be had; the use is
    /// released then, as far as it can be told.
    [[nodiscard]] tl::expected<Taken, std::string> take(const ArenaReference& reference);

    /// Unmaps segments that the writer has dropped and of which nothing is held here.
    void drop_unused();

private:
    struct State;
    std::shared_ptr<State> state_;
    const ArenaSlots* slots_;
    std::uint64_t seen_changes_ = 0;
    Fetch fetch_;
};

}  // namespace rankexec
