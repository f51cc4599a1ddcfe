// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <utility>

#include "rankexec/ipc/transport/memory_link.hpp"

namespace rankexec {
namespace {

using Had = tl::expected<std::shared_ptr<Segment>, std::string>;

Had have(const RankMemory::Ask& ask, const HandoverWish& wish, Segment::Access access) {
    auto received = ask(wish);
    if (!received) return tl::unexpected(received.error());
    if (received->descriptors.size() != 1) return tl::unexpected<std::string>("the parent sent no segment");
    auto segment = Segment::map(std::move(received->descriptors.front()), wish.size, access);
    if (!segment) return tl::unexpected(segment.error());
    segment->close_descriptor();
    return std::make_shared<Segment>(std::move(*segment));
}

}  // namespace

tl::expected<std::unique_ptr<RankMemory>, std::string> RankMemory::accept(ReceivedHandover received, int rank,
                                                                          int world_size, Ask ask) {
    MemoryOffer offer;
    if (received.bytes.size() != sizeof offer || received.descriptors.size() != 2) {
        return tl::unexpected<std::string>("the parent offers other memory than this version of rankexec knows");
    }
    std::memcpy(&offer, received.bytes.data(), sizeof offer);
    const bool fits = offer.version == MemoryOffer::kVersion && std::cmp_equal(offer.rank, rank) &&
                      std::cmp_equal(offer.world_size, world_size) &&
                      are_ring_capacities(offer.task_bytes, offer.answer_bytes, offer.event_bytes);
    if (!fits) return tl::unexpected<std::string>("the parent offers memory for another rank or version");
    auto parents =
        Segment::map(std::move(received.descriptors[0]),
                     ParentLayout::size(offer.world_size, offer.task_bytes, offer.event_bytes), Segment::Access::read);
    if (!parents) return tl::unexpected(parents.error());
    auto own = Segment::map(std::move(received.descriptors[1]), RankLayout::size(offer.answer_bytes, offer.event_bytes),
                            Segment::Access::read_write);
    if (!own) return tl::unexpected(own.error());
    parents->close_descriptor();
    own->close_descriptor();
    return std::unique_ptr<RankMemory>(new RankMemory(std::move(*parents), std::move(*own), offer, ask));
}

RankMemory::RankMemory(Segment parents, Segment own, const MemoryOffer& offer, const Ask& ask) {
    const auto both = std::make_shared<std::pair<Segment, Segment>>(std::move(parents), std::move(own));
    const ParentLayout theirs(both->first, offer.world_size, offer.task_bytes, offer.event_bytes);
    const RankLayout ours(both->second, offer.answer_bytes, offer.event_bytes);
    auto& view = ours.view();
    tasks_ = std::make_unique<MemoryReader>(
        theirs.tasks(), view.position, theirs.slots(), view.releases, both,
        [ask](std::uint64_t number, std::size_t size) {
            return have(ask, {HandoverWish::Kind::task_segment, number, size}, Segment::Access::read);
        });
    answers_ = std::make_unique<MemoryWriter>(
        ours.results(), ours.slots(), both, [ask](std::uint64_t number, std::size_t size) {
            return have(ask, {HandoverWish::Kind::result_segment, number, size}, Segment::Access::read_write);
        });
    auto& read = theirs.view(offer.rank);
    answers_->add_reader(read.position, read.releases, both);

    if (offer.world_size > RingWaiter::kMostRings) return;  // the parent cannot wait for that many
    events_ = std::make_unique<FrameRingWriter>(ours.events());
    events_->add_reader(theirs.event_position(offer.rank));
    parent_events_ = std::make_unique<FrameRingReader>(theirs.events(), ours.event_position());
    event_answers_ = std::make_unique<FrameRingReader>(theirs.answers(offer.rank), ours.answer_position());
}

}  // namespace rankexec
