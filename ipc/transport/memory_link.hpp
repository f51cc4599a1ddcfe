// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/shared_memory/ring.hpp"
#include "rankexec/ipc/shared_memory/segment.hpp"
#include "rankexec/ipc/transport/handover.hpp"
#include "rankexec/ipc/wire/packed_frames.hpp"

/// Messages between a parent and the ranks on its host through shared memory: one ring from the parent to all of them,
/// and one from each of them back. Everything is made by the parent. Two segments:
/// - the parent's, which ranks cannot write: for each rank the parent's position in that rank's answers, then the ring
///   to all;
/// - one for each rank, which both write: the rank's position in the ring to all, then its answers.
namespace rankexec {

/// What a rank is told with its descriptors: the parent's segment and its own.
struct MemoryOffer {
    static constexpr std::uint32_t kVersion = 1;
    std::uint32_t version = kVersion;
    std::uint32_t rank = 0;
    std::uint32_t world_size = 0;
    std::uint32_t unused = 0;
    std::uint64_t task_bytes = 0;    ///< capacity of the ring to all
    std::uint64_t answer_bytes = 0;  ///< capacity of the rank's ring
};

/// The parent's side. offer() and drop() on one thread before and after, send() and receive() on one thread in between.
class RANKEXEC_EXPORT ParentMemory {
public:
    struct Sizes {
        std::size_t task_bytes = std::size_t{1} << 20U;
        std::size_t answer_bytes = std::size_t{1} << 18U;
    };
    /// Enough for small messages, with all their pages allocated while the group starts: 16 MiB at most for all ranks.
    [[nodiscard]] static Sizes sizes_for(int world_size) noexcept;
    static tl::expected<std::unique_ptr<ParentMemory>, std::string> create(int world_size, Sizes sizes);

    /// Makes that rank's segment; from then on nothing that it has not read is overwritten. A rank that was dropped, or
    /// asks again, gets nothing: its process is another one than that which got the first.
    [[nodiscard]] tl::expected<HandoverServer::Handover, std::string> offer(int rank);
    /// That rank has ended, or does not follow the rules.
    void drop(int rank);
    [[nodiscard]] bool has(int rank) const;

    /// Sends one message to every rank that has got its memory. False when it does not fit: it is too large, or a
    /// rank is behind with reading.
    [[nodiscard]] bool send_to_all(std::span<const wire::Frame> frames);

    struct Received {
        RingReader::Taken taken = RingReader::Taken::nothing;
        std::vector<wire::Frame> frames;  ///< share their memory; of a message
    };
    /// The next answer of that rank, which has got its memory.
    [[nodiscard]] Received receive(int rank);
    /// As RingReader::wait.
    bool wait(int rank, const Interrupt& interrupt, std::uint32_t seen,
              std::optional<std::chrono::steady_clock::time_point> deadline);

private:
    struct Peer {
        Segment segment;
        std::unique_ptr<RingReader> answers;
        bool gone = false;
    };
    ParentMemory(int world_size, Sizes sizes, Segment segment);
    [[nodiscard]] ReaderState& position_in_answers(int rank) const;
    Peer& peer(int rank) { return peers_.at(static_cast<std::size_t>(rank)); }

    Sizes sizes_;
    Segment segment_;
    RingWriter tasks_;
    std::vector<Peer> peers_;
    wire::FramePacker packer_;
};

/// A rank's side. One thread sends, one receives.
class RANKEXEC_EXPORT RankMemory {
public:
    /// Takes what came from the parent. Fails when it is not what a parent offers this rank.
    static tl::expected<std::unique_ptr<RankMemory>, std::string> accept(ReceivedHandover received, int rank,
                                                                         int world_size);

    /// Answers. False when it does not fit.
    [[nodiscard]] bool send(std::span<const wire::Frame> frames);
    [[nodiscard]] ParentMemory::Received receive();
    [[nodiscard]] bool has_message() const noexcept { return tasks_.has_message(); }
    bool wait(const Interrupt& interrupt, std::uint32_t seen) { return tasks_.wait(interrupt, seen); }

private:
    RankMemory(Segment parents, Segment own, const MemoryOffer& offer);

    Segment parents_;
    Segment own_;
    RingReader tasks_;
    RingWriter answers_;
    wire::FramePacker packer_;
};

}  // namespace rankexec
