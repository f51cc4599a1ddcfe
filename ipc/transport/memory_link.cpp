// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/memory_link.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace rankexec {
namespace {

std::size_t parents_size(std::size_t world_size, std::size_t task_bytes) {
    return world_size * sizeof(ReaderState) + ring_size(task_bytes);
}
std::size_t ranks_size(std::size_t answer_bytes) { return sizeof(ReaderState) + ring_size(answer_bytes); }

ReaderState& state_at(const Segment& segment, std::size_t index) {
    return reinterpret_cast<ReaderState*>(segment.bytes().data())[index];
}

/// What `reader` has next, with memory of its own.
ParentMemory::Received next_of(RingReader& reader) {
    ParentMemory::Received received;
    if (!reader.has_message()) return received;
    const auto bytes = std::make_shared<std::vector<std::byte>>();
    received.taken = reader.take(*bytes);
    if (received.taken != RingReader::Taken::message) return received;
    auto frames = wire::unpack_frames(bytes);
    if (frames) {
        received.frames = std::move(*frames);
    } else {
        received.taken = RingReader::Taken::corrupt;
    }
    return received;
}

}  // namespace

// ---- parent -------------------------------------------------------------------------------------

ParentMemory::Sizes ParentMemory::sizes_for(int world_size) noexcept {
    constexpr std::size_t kTasks = std::size_t{1} << 18U;
    constexpr std::size_t kMost = std::size_t{1} << 16U;
    constexpr std::size_t kFewest = std::size_t{1} << 12U;
    constexpr std::size_t kAll = std::size_t{1} << 24U;
    return {kTasks, std::clamp(std::bit_floor(kAll / static_cast<std::size_t>(world_size)), kFewest, kMost)};
}

tl::expected<std::unique_ptr<ParentMemory>, std::string> ParentMemory::create(int world_size, Sizes sizes) {
    if (!is_ring_capacity(sizes.task_bytes) || !is_ring_capacity(sizes.answer_bytes)) {
        return tl::unexpected<std::string>("shared memory: the size of a ring must be a power of two, 8 at least");
    }
    auto segment =
        Segment::create(parents_size(static_cast<std::size_t>(world_size), sizes.task_bytes), Segment::Access::read);
    if (!segment) return tl::unexpected(segment.error());
    return std::unique_ptr<ParentMemory>(new ParentMemory(world_size, sizes, std::move(*segment)));
}

ParentMemory::ParentMemory(int world_size, Sizes sizes, Segment segment)
    : sizes_(sizes),
      segment_(std::move(segment)),
      tasks_(segment_.bytes().subspan(static_cast<std::size_t>(world_size) * sizeof(ReaderState))),
      peers_(static_cast<std::size_t>(world_size)) {}

ReaderState& ParentMemory::position_in_answers(int rank) const {
    return state_at(segment_, static_cast<std::size_t>(rank));
}

tl::expected<HandoverServer::Handover, std::string> ParentMemory::offer(int rank) {
    auto& it = peer(rank);
    if (it.answers || it.gone) return tl::unexpected<std::string>("it has got its memory before");
    auto segment = Segment::create(ranks_size(sizes_.answer_bytes), Segment::Access::read_write);
    if (!segment) return tl::unexpected(segment.error());
    auto answers =
        std::make_unique<RingReader>(segment->bytes().subspan(sizeof(ReaderState)), position_in_answers(rank));
    auto& position = state_at(*segment, 0);
    position.read.store(tasks_.position(), std::memory_order_relaxed);
    tasks_.add_reader(position);
    it.segment = std::move(*segment);
    it.answers = std::move(answers);

    const MemoryOffer offer{MemoryOffer::kVersion,
                            static_cast<std::uint32_t>(rank),
                            static_cast<std::uint32_t>(peers_.size()),
                            0,
                            sizes_.task_bytes,
                            sizes_.answer_bytes};
    const auto bytes = std::as_bytes(std::span(&offer, 1));
    return HandoverServer::Handover{{bytes.begin(), bytes.end()}, {segment_.descriptor(), it.segment.descriptor()}};
}

void ParentMemory::drop(int rank) {
    auto& it = peer(rank);
    it.gone = true;
    if (!it.answers) return;
    tasks_.remove_reader(state_at(it.segment, 0));
    it.answers.reset();
    it.segment = Segment();
}

bool ParentMemory::has(int rank) const { return peers_.at(static_cast<std::size_t>(rank)).answers != nullptr; }

bool ParentMemory::send_to_all(std::span<const wire::Frame> frames) { return tasks_.put(packer_.pack(frames)); }

ParentMemory::Received ParentMemory::receive(int rank) { return next_of(*peer(rank).answers); }

bool ParentMemory::wait(int rank, const Interrupt& interrupt, std::uint32_t seen,
                        std::optional<std::chrono::steady_clock::time_point> deadline) {
    return peer(rank).answers->wait(interrupt, seen, deadline);
}

// ---- rank ---------------------------------------------------------------------------------------

tl::expected<std::unique_ptr<RankMemory>, std::string> RankMemory::accept(ReceivedHandover received, int rank,
                                                                          int world_size) {
    MemoryOffer offer;
    if (received.bytes.size() != sizeof offer || received.descriptors.size() != 2) {
        return tl::unexpected<std::string>("the parent offers other memory than this version of rankexec knows");
    }
    std::memcpy(&offer, received.bytes.data(), sizeof offer);
    const bool fits = offer.version == MemoryOffer::kVersion && std::cmp_equal(offer.rank, rank) &&
                      std::cmp_equal(offer.world_size, world_size) && is_ring_capacity(offer.task_bytes) &&
                      is_ring_capacity(offer.answer_bytes);
    if (!fits) return tl::unexpected<std::string>("the parent offers memory for another rank or version");
    auto parents = Segment::map(std::move(received.descriptors[0]), parents_size(offer.world_size, offer.task_bytes),
                                Segment::Access::read);
    if (!parents) return tl::unexpected(parents.error());
    auto own =
        Segment::map(std::move(received.descriptors[1]), ranks_size(offer.answer_bytes), Segment::Access::read_write);
    if (!own) return tl::unexpected(own.error());
    parents->close_descriptor();
    own->close_descriptor();
    return std::unique_ptr<RankMemory>(new RankMemory(std::move(*parents), std::move(*own), offer));
}

RankMemory::RankMemory(Segment parents, Segment own, const MemoryOffer& offer)
    : parents_(std::move(parents)),
      own_(std::move(own)),
      tasks_(parents_.bytes().subspan(offer.world_size * sizeof(ReaderState)), state_at(own_, 0)),
      answers_(own_.bytes().subspan(sizeof(ReaderState))) {
    answers_.add_reader(state_at(parents_, offer.rank));
}

bool RankMemory::send(std::span<const wire::Frame> frames) { return answers_.put(packer_.pack(frames)); }

ParentMemory::Received RankMemory::receive() { return next_of(tasks_); }

}  // namespace rankexec
