// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/shared_memory/ring.hpp"
#include "rankexec/ipc/wire/packed_frames.hpp"

/// Messages of frames that lie wholly in a ring: for what is small, and where the sender may wait for room.
namespace rankexec {

struct MemoryReceived {
    RingReader::Taken taken = RingReader::Taken::nothing;
    std::vector<wire::Frame> frames;  ///< of a message; with their memory
    std::string error;                ///< of a message whose large frames cannot be had: it has the first two only
};

/// The next message of that ring, as it lies there.
struct TakenFrames {
    RingReader::Taken taken = RingReader::Taken::nothing;
    std::vector<wire::PackedFrame> frames;
};
[[nodiscard]] TakenFrames take_frames(RingReader& ring);

/// One thread at a time.
class RANKEXEC_EXPORT FrameRingWriter {
public:
    enum class Sent {
        yes,
        no_room,  ///< readers are behind with reading
        never,    ///< it is larger than the ring
    };

    /// `ring` is the ring's memory, zeroed, and outlives this.
    explicit FrameRingWriter(std::span<std::byte> ring) : ring_(ring) {}

    /// As RingWriter::add_reader and remove_reader.
    void add_reader(const ReaderState& reader) { ring_.add_reader(reader); }
    void remove_reader(const ReaderState& reader) { ring_.remove_reader(reader); }
    [[nodiscard]] std::uint64_t position() const noexcept { return ring_.position(); }

    /// Sends one message to all readers, as it is: frames are copied.
    [[nodiscard]] Sent send(std::span<const wire::Frame> frames);
    /// After send() had no room: waits until there may be some, or `interrupt` differs from `seen`.
    void wait_for_room(const Interrupt& interrupt, std::uint32_t seen) noexcept {
        ring_.wait_for_room(refused_, interrupt, seen);
    }

private:
    RingWriter ring_;
    wire::FramePacker packer_;
    std::vector<wire::PackedFrame> packed_;  ///< used again for each message
    std::size_t refused_ = 0;                ///< bytes of the message that found no room
};

/// One thread receives, one waits.
class RANKEXEC_EXPORT FrameRingReader {
public:
    /// As RingReader.
    FrameRingReader(std::span<const std::byte> ring, ReaderState& position) : ring_(ring, position) {}

    [[nodiscard]] MemoryReceived receive();
    [[nodiscard]] bool has_message() const noexcept { return ring_.has_message(); }
    /// To wait for.
    [[nodiscard]] RingReader& ring() noexcept { return ring_; }

private:
    RingReader ring_;
};

}  // namespace rankexec
