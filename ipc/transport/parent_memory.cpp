// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <utility>

#include "rankexec/ipc/transport/memory_link.hpp"

namespace rankexec {
namespace {

using Made = tl::expected<HandoverServer::Handover, std::string>;

/// A segment that counts what it takes.
std::shared_ptr<Segment> counted(Segment segment, const std::shared_ptr<std::atomic<std::size_t>>& total) {
    const auto size = segment.bytes().size();
    return {new Segment(std::move(segment)), [total, size](const Segment* gone) {
                delete gone;
                total->fetch_sub(size);
            }};
}

HandoverServer::Handover handover_of(int descriptor, std::shared_ptr<const void> owner) {
    return {{std::byte{1}}, {descriptor}, std::move(owner)};
}

/// Of a segment that only one rank gets, once: a group of many would take all descriptors that the process may have.
std::shared_ptr<UniqueFd> descriptor_of(Segment& segment) {
    return std::make_shared<UniqueFd>(segment.take_descriptor());
}

}  // namespace

ParentMemory::Sizes ParentMemory::sizes_for(int world_size) noexcept {
    constexpr std::size_t kTasks = std::size_t{1} << 18U;
    constexpr std::size_t kMost = std::size_t{1} << 16U;
    constexpr std::size_t kFewest = std::size_t{1} << 12U;
    constexpr std::size_t kAll = std::size_t{1} << 24U;
    constexpr std::size_t kAllEvents = std::size_t{1} << 22U;
    const auto ranks = static_cast<std::size_t>(world_size);
    Sizes sizes;
    sizes.task_bytes = kTasks;
    sizes.answer_bytes = std::clamp(std::bit_floor(kAll / ranks), kFewest, kMost);
    sizes.event_bytes = std::clamp(std::bit_floor(kAllEvents / ranks), kFewest, kMost);
    return sizes;
}

tl::expected<std::shared_ptr<ParentMemory>, std::string> ParentMemory::create(int world_size, Sizes sizes) {
    if (!are_ring_capacities(sizes.task_bytes, sizes.answer_bytes, sizes.event_bytes)) {
        return tl::unexpected<std::string>("shared memory: the size of a ring must be a power of two, 64 at least");
    }
    auto segment =
        Segment::create(ParentLayout::size(static_cast<std::size_t>(world_size), sizes.task_bytes, sizes.event_bytes),
                        Segment::Access::read);
    if (!segment) return tl::unexpected(segment.error());
    return std::shared_ptr<ParentMemory>(new ParentMemory(world_size, sizes, std::move(*segment)));
}

ParentMemory::ParentMemory(int world_size, Sizes sizes, Segment segment)
    : sizes_(sizes),
      payload_bytes_(std::make_shared<std::atomic<std::size_t>>(0)),
      segment_(std::make_shared<Segment>(std::move(segment))),
      peers_(static_cast<std::size_t>(world_size)) {
    tasks_ = std::make_unique<MemoryWriter>(
        layout().tasks(), layout().slots(), segment_,
        [this](std::uint64_t, std::size_t size) { return make_payload(size, Segment::Access::read); });
    events_ = std::make_unique<FrameRingWriter>(layout().events());
}

/// What was received keeps the memory.
ParentMemory::~ParentMemory() { segment_->close_descriptor(); }

ParentLayout ParentMemory::layout() const { return {*segment_, peers_.size(), sizes_.task_bytes, sizes_.event_bytes}; }

FrameRingReader& ParentMemory::events_of(int rank) {
    const std::lock_guard lock(mutex_);
    return *peer(rank).events;
}

tl::expected<std::shared_ptr<Segment>, std::string> ParentMemory::make_payload(std::size_t size,
                                                                               Segment::Access access) const {
    // Ranks ask for any size; one that no limit allows must not make the sum start again.
    const bool possible = size <= sizes_.payload_bytes;
    if (!possible || payload_bytes_->fetch_add(size) + size > sizes_.payload_bytes) {
        if (possible) payload_bytes_->fetch_sub(size);
        return tl::unexpected("shared memory: all of the " + std::to_string(sizes_.payload_bytes) +
                              " bytes for payloads are in use");
    }
    auto segment = Segment::create(size, access);
    if (segment) return counted(std::move(*segment), payload_bytes_);
    payload_bytes_->fetch_sub(size);
    return tl::unexpected(segment.error());
}

Made ParentMemory::hand_over(int rank, const HandoverWish& wish) {
    switch (wish.kind) {
        case HandoverWish::Kind::rings: return hand_over_rings(rank);
        case HandoverWish::Kind::task_segment: return hand_over_task(wish.number);
        case HandoverWish::Kind::result_segment: return hand_over_result(rank, wish);
    }
    return tl::unexpected<std::string>("it asks for something unknown");
}

Made ParentMemory::hand_over_rings(int rank) {
    const std::lock_guard lock(mutex_);
    auto& it = peer(rank);
    if (it.answers || it.gone) return tl::unexpected<std::string>("it has got its memory before");
    auto made = Segment::create(RankLayout::size(sizes_.answer_bytes, sizes_.event_bytes), Segment::Access::read_write);
    if (!made) return tl::unexpected(made.error());
    it.segment = std::make_shared<Segment>(std::move(*made));
    const RankLayout theirs(*it.segment, sizes_.answer_bytes, sizes_.event_bytes);
    const auto index = static_cast<std::size_t>(rank);
    auto& ours = layout().view(index);
    const auto both =
        std::make_shared<std::pair<std::shared_ptr<Segment>, std::shared_ptr<Segment>>>(segment_, it.segment);
    it.answers = std::make_unique<MemoryReader>(
        theirs.results(), ours.position, theirs.slots(), ours.releases, both,
        [this, rank](std::uint64_t number, std::size_t) -> tl::expected<std::shared_ptr<Segment>, std::string> {
            const std::lock_guard held(mutex_);
            // The reader has it from now on, as long as the rank does.
            const auto found = peer(rank).new_results.extract(number);
            if (found.empty()) return tl::unexpected<std::string>("it has no such segment");
            return found.mapped();
        });
    theirs.view().position.read.store(tasks_->position(), std::memory_order_relaxed);
    tasks_->add_reader(theirs.view().position, theirs.view().releases, it.segment);
    theirs.event_position().read.store(events_->position(), std::memory_order_relaxed);
    events_->add_reader(theirs.event_position());
    it.event_answers = std::make_unique<FrameRingWriter>(layout().answers(index));
    it.event_answers->add_reader(theirs.answer_position());
    it.events = std::make_unique<FrameRingReader>(theirs.events(), layout().event_position(index));

    const MemoryOffer offer{MemoryOffer::kVersion,
                            static_cast<std::uint32_t>(rank),
                            static_cast<std::uint32_t>(peers_.size()),
                            0,
                            sizes_.task_bytes,
                            sizes_.answer_bytes,
                            sizes_.event_bytes};
    const auto bytes = std::as_bytes(std::span(&offer, 1));
    const auto theirs_to_send = descriptor_of(*it.segment);
    return HandoverServer::Handover{
        {bytes.begin(), bytes.end()}, {segment_->descriptor(), theirs_to_send->get()}, theirs_to_send};
}

Made ParentMemory::hand_over_task(std::uint64_t number) const {
    const auto segment = tasks_->arena().segment(number);
    if (!segment) return tl::unexpected<std::string>("there is no such segment any more");
    return handover_of(segment->descriptor(), segment);
}

Made ParentMemory::hand_over_result(int rank, const HandoverWish& wish) {
    {
        const std::lock_guard lock(mutex_);
        auto& it = peer(rank);
        if (!it.answers) return tl::unexpected<std::string>("it has no memory");
        if (it.new_results.size() >= kArenaSlots || it.new_results.contains(wish.number)) {
            return tl::unexpected<std::string>("it has too many segments");
        }
    }
    // Without the lock: it takes as long as touching the memory does.
    auto made = make_payload(wish.size, Segment::Access::read_write);
    if (!made) return tl::unexpected(made.error());
    const std::lock_guard lock(mutex_);
    peer(rank).new_results.emplace(wish.number, *made);
    const auto descriptor = descriptor_of(**made);
    return handover_of(descriptor->get(), descriptor);
}

void ParentMemory::drop(int rank) {
    const std::lock_guard lock(mutex_);
    auto& it = peer(rank);
    it.gone = true;
    if (!it.answers) return;
    const RankLayout theirs(*it.segment, sizes_.answer_bytes, sizes_.event_bytes);
    tasks_->remove_reader(theirs.view().position, theirs.view().releases);
    events_->remove_reader(theirs.event_position());
    it.answers.reset();
    it.events.reset();
    it.event_answers.reset();
    it.new_results.clear();
    it.segment.reset();
}

bool ParentMemory::has(int rank) const {
    const std::lock_guard lock(mutex_);
    return peers_.at(static_cast<std::size_t>(rank)).answers != nullptr;
}

}  // namespace rankexec
