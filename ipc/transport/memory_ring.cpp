// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/memory_ring.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace rankexec {

TakenFrames take_frames(RingReader& ring) {
    TakenFrames result;
    if (!ring.has_message()) return result;
    const auto bytes = std::make_shared<std::vector<std::byte>>();
    result.taken = ring.take(*bytes);
    if (result.taken != RingReader::Taken::message) return result;
    auto frames = wire::unpack_frames(bytes);
    if (frames) {
        result.frames = std::move(*frames);
    } else {
        result.taken = RingReader::Taken::corrupt;
    }
    return result;
}

FrameRingWriter::Sent FrameRingWriter::send(std::span<const wire::Frame> frames) {
    for (const auto& frame : frames) packed_.push_back({frame, false});
    const auto pieces = packer_.pack(packed_);
    const bool put = ring_.put(pieces);
    if (!put) {
        refused_ = 0;
        for (const auto& piece : pieces) refused_ += piece.size();
    }
    packed_.clear();  // lets go of the frames
    if (put) return Sent::yes;
    return refused_ > ring_.largest() ? Sent::never : Sent::no_room;
}

MemoryReceived FrameRingReader::receive() {
    MemoryReceived received;
    auto [taken, frames] = take_frames(ring_);
    received.taken = taken;
    if (taken != RingReader::Taken::message) return received;
    // There is no arena that a frame could lie in.
    if (std::ranges::any_of(frames, &wire::PackedFrame::elsewhere)) {
        received.taken = RingReader::Taken::corrupt;
        return received;
    }
    received.frames.reserve(frames.size());
    for (auto& entry : frames) received.frames.push_back(std::move(entry.frame));
    return received;
}

}  // namespace rankexec
