// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/memory_stream.hpp"

#include <cstring>
#include <utility>

namespace rankexec {
namespace {

/// Frames before the first tensor's: envelope and body.
constexpr std::size_t kFirstTensor = 2;

/// Cache lines, and more than any element needs.
constexpr std::size_t kAlignment = 64;
constexpr std::size_t aligned(std::size_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

// ---- writer -------------------------------------------------------------------------------------

MemoryWriter::MemoryWriter(std::span<std::byte> ring, ArenaSlots& slots, const std::shared_ptr<const void>& owner,
                           ArenaWriter::MakeSegment make)
    : ring_(ring), arena_(slots, owner, std::move(make)) {}

void MemoryWriter::add_reader(const ReaderState& position, const ArenaReleases& releases,
                              std::shared_ptr<const void> owner) {
    ring_.add_reader(position);
    arena_.add_reader(releases, std::move(owner));
}

void MemoryWriter::remove_reader(const ReaderState& position, const ArenaReleases& releases) {
    ring_.remove_reader(position);
    arena_.remove_reader(releases);
}

bool MemoryWriter::send(std::span<const wire::Frame> frames) {
    references_.clear();
    packed_.clear();
    for (const auto& frame : frames) packed_.push_back({frame, false});
    // Holds what was copied, until the readers have been told of it.
    ArenaBlock copies;
    std::size_t to_copy = 0;
    for (std::size_t index = kFirstTensor; index < frames.size(); ++index) {
        const auto bytes = frames[index].bytes;
        if (bytes.size() < kArenaThreshold) continue;
        auto reference = arena_.refer_to(bytes);
        if (!reference) {
            reference.emplace();
            reference->length = bytes.size();
            to_copy += aligned(bytes.size());
        }
        references_.push_back(*reference);
        packed_[index].elsewhere = true;
    }
    if (to_copy > 0) {
        copies = arena_.allocate(to_copy);
        if (!copies) {
            packed_.clear();
            return false;
        }
    }
    std::size_t next = 0;
    std::size_t offset = 0;
    for (std::size_t index = kFirstTensor; index < frames.size(); ++index) {
        if (!packed_[index].elsewhere) continue;
        auto& reference = references_[next++];
        if (reference.use == 0) {
            const auto bytes = frames[index].bytes;
            std::memcpy(copies->data() + offset, bytes.data(), bytes.size());
            reference = *arena_.refer_to(copies->subspan(offset, bytes.size()));
            offset += aligned(bytes.size());
        }
        packed_[index].frame.bytes = std::as_bytes(std::span(&reference, 1));
    }
    const bool put = ring_.put(packer_.pack(packed_));
    packed_.clear();  // lets go of the frames
    if (put) arena_.sent(references_);
    return put;
}

// ---- reader -------------------------------------------------------------------------------------

MemoryReader::MemoryReader(std::span<const std::byte> ring, ReaderState& position, const ArenaSlots& slots,
                           ArenaReleases& releases, std::shared_ptr<const void> owner, ArenaReader::Fetch fetch)
    : ring_(ring, position), arena_(slots, releases, std::move(owner), std::move(fetch)) {}

MemoryReceived MemoryReader::receive() {
    MemoryReceived received;
    auto [taken, frames] = take_frames(ring_);
    received.taken = taken;
    if (taken != RingReader::Taken::message) return received;
    arena_.drop_unused();
    for (std::size_t index = 0; index < frames.size(); ++index) {
        auto& [frame, elsewhere] = frames[index];
        if (!elsewhere) {
            received.frames.push_back(std::move(frame));
            continue;
        }
        ArenaReference reference;
        if (index < kFirstTensor || frame.bytes.size() != sizeof reference) {
            received.taken = RingReader::Taken::corrupt;
            return received;
        }
        std::memcpy(&reference, frame.bytes.data(), sizeof reference);
        // The others are taken all the same, so that they are released.
        if (auto taken = arena_.take(reference)) {
            received.frames.push_back({taken->bytes, std::move(taken->owner)});
        } else {
            received.error = taken.error();
        }
    }
    if (!received.error.empty()) received.frames.resize(kFirstTensor);
    return received;
}

}  // namespace rankexec
