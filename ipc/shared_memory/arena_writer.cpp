// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <functional>
#include <mutex>
#include <utility>

#include "rankexec/ipc/shared_memory/arena.hpp"
#include "rankexec/ipc/shared_memory/fork_count.hpp"

namespace rankexec {
namespace {

constexpr std::size_t kSmallest = std::size_t{64} * 1024;

/// A segment that was in no message for that many messages is dropped.
constexpr std::uint64_t kKept = 64;

/// Segments come in few sizes, a quarter of a power of two apart, so that one serves messages of about its size.
std::size_t segment_size_for(std::size_t size) {
    if (size <= kSmallest) return kSmallest;
    const auto step = std::bit_floor(size - 1) / 4;
    return (size + step - 1) / step * step;
}

}  // namespace

struct ArenaWriter::State : std::enable_shared_from_this<State> {
    struct Slot {
        std::shared_ptr<Segment> segment;
        std::uint64_t number = 0;      ///< of the segment
        std::uint64_t last_use = 0;    ///< that was sent
        std::uint64_t last_clock = 0;  ///< when it was allocated or sent
        bool held = false;             ///< by an ArenaBlock, or while its segment is made
    };
    struct Reader {
        const ArenaReleases* releases;
        std::shared_ptr<const void> owner;
    };

    State(ArenaSlots& announced, std::shared_ptr<const void> owner)
        : slots_memory(&announced), memory(std::move(owner)) {}

    [[nodiscard]] bool is_free(std::size_t index) const {
        const auto& slot = slots.at(index);
        return !slot.held && std::ranges::all_of(readers, [&](const Reader& reader) {
            return reader.releases->uses.at(index).load(std::memory_order_acquire) >= slot.last_use;
        });
    }

    /// The smallest free slot whose segment is large enough, but not by more than twice.
    [[nodiscard]] std::optional<std::size_t> find(std::size_t size) const {
        const auto largest = 2 * segment_size_for(size);
        std::optional<std::size_t> best;
        for (std::size_t index = 0; index < kArenaSlots; ++index) {
            const auto& segment = slots.at(index).segment;
            if (!segment || segment->bytes().size() < size || segment->bytes().size() > largest) continue;
            if (best && slots.at(*best).segment->bytes().size() <= segment->bytes().size()) continue;
            if (is_free(index)) best = index;
        }
        return best;
    }

    [[nodiscard]] std::optional<std::size_t> find_empty() const {
        for (std::size_t index = 0; index < kArenaSlots; ++index) {
            if (!slots.at(index).segment && !slots.at(index).held) return index;
        }
        return std::nullopt;
    }

    void announce(std::size_t index) {
        slots_memory->segments.at(index).store(slots.at(index).segment ? slots.at(index).number : 0,
                                               std::memory_order_relaxed);
        slots_memory->changes.fetch_add(1, std::memory_order_release);
    }

    /// Those that were in no message for `messages` of them. True when there was one.
    bool drop_free(std::uint64_t messages) {
        bool dropped = false;
        for (std::size_t index = 0; index < kArenaSlots; ++index) {
            auto& slot = slots.at(index);
            if (!slot.segment || clock - slot.last_clock < messages || !is_free(index)) continue;
            slot.segment.reset();
            announce(index);
            dropped = true;
        }
        return dropped;
    }

    ArenaBlock block(std::size_t index, std::size_t size) {
        const auto segment = slots.at(index).segment;
        auto* const bytes = new std::span<std::byte>(segment->bytes().first(size));
        return {bytes, [self = shared_from_this(), segment, index](const std::span<std::byte>* gone) {
                    delete gone;
                    // At the fork, another thread may have held the mutex.
                    if (self->forks != fork_count()) return;
                    const std::lock_guard lock(self->mutex);
                    self->slots.at(index).held = false;
                }};
    }

    const std::uint32_t forks = fork_count();
    mutable std::mutex mutex;
    ArenaSlots* slots_memory;
    std::shared_ptr<const void> memory;
    std::array<Slot, kArenaSlots> slots;
    std::vector<Reader> readers;
    std::uint64_t last_number = 0;
    std::uint64_t clock = 0;  ///< messages
    MakeSegment make;
};

ArenaWriter::ArenaWriter(ArenaSlots& slots, std::shared_ptr<const void> owner, MakeSegment make)
    : state_(std::make_shared<State>(slots, std::move(owner))) {
    state_->make = std::move(make);
}

/// Blocks may outlive it, without descriptors; the segments of all others go.
ArenaWriter::~ArenaWriter() {
    const std::lock_guard lock(state_->mutex);
    for (auto& slot : state_->slots) {
        if (slot.segment) slot.segment->close_descriptor();
        slot.segment.reset();
    }
    state_->readers.clear();
    state_->make = nullptr;
}

void ArenaWriter::add_reader(const ArenaReleases& releases, std::shared_ptr<const void> owner) {
    const std::lock_guard lock(state_->mutex);
    state_->readers.push_back({&releases, std::move(owner)});
}

void ArenaWriter::remove_reader(const ArenaReleases& releases) {
    const std::lock_guard lock(state_->mutex);
    std::erase_if(state_->readers, [&](const State::Reader& reader) { return reader.releases == &releases; });
}

ArenaBlock ArenaWriter::allocate(std::size_t size) {
    auto& state = *state_;
    std::size_t index = 0;
    std::uint64_t number = 0;
    {
        const std::lock_guard lock(state.mutex);
        if (const auto found = state.find(size)) {
            auto& slot = state.slots.at(*found);
            slot.held = true;
            slot.last_clock = state.clock;
            return state.block(*found, size);
        }
        auto empty = state.find_empty();
        if (!empty && state.drop_free(0)) empty = state.find_empty();
        if (!empty) return nullptr;
        index = *empty;
        number = ++state.last_number;
        state.slots.at(index).held = true;
    }
    // Making one takes as long as touching its memory does; others go on meanwhile.
    auto made = state.make(number, segment_size_for(size));
    if (!made) {
        bool room = false;
        {
            const std::lock_guard lock(state.mutex);
            room = state.drop_free(0);
        }
        if (room) made = state.make(number, segment_size_for(size));
    }
    const std::lock_guard lock(state.mutex);
    auto& slot = state.slots.at(index);
    if (!made) {
        slot.held = false;
        return nullptr;
    }
    slot.segment = std::move(*made);
    slot.number = number;
    slot.last_clock = state.clock;
    state.announce(index);
    return state.block(index, size);
}

std::optional<ArenaReference> ArenaWriter::refer_to(std::span<const std::byte> bytes) const {
    const std::lock_guard lock(state_->mutex);
    for (std::size_t index = 0; index < kArenaSlots; ++index) {
        const auto& slot = state_->slots.at(index);
        if (!slot.segment || !slot.held) continue;
        const std::span<const std::byte> all = slot.segment->bytes();
        // Pointers into different memory have no order of their own.
        const std::less_equal<const std::byte*> before;
        if (!before(all.data(), bytes.data()) || !before(bytes.data() + bytes.size(), all.data() + all.size()))
            continue;
        return ArenaReference{index,
                              slot.last_use + 1,
                              slot.number,
                              all.size(),
                              static_cast<std::uint64_t>(bytes.data() - all.data()),
                              bytes.size()};
    }
    return std::nullopt;
}

void ArenaWriter::sent(std::span<const ArenaReference> references) {
    const std::lock_guard lock(state_->mutex);
    ++state_->clock;
    for (const auto& reference : references) {
        auto& slot = state_->slots.at(reference.slot);
        slot.last_use = reference.use;
        slot.last_clock = state_->clock;
    }
    if (state_->clock % kKept == 0) (void)state_->drop_free(kKept);
}

std::shared_ptr<Segment> ArenaWriter::segment(std::uint64_t number) const {
    const std::lock_guard lock(state_->mutex);
    for (const auto& slot : state_->slots) {
        if (slot.segment && slot.number == number) return slot.segment;
    }
    return nullptr;
}

}  // namespace rankexec
