// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/shared_memory/segment.hpp"
#include "rankexec/ipc/transport/handover.hpp"
#include "rankexec/ipc/transport/memory_layout.hpp"
#include "rankexec/ipc/transport/memory_stream.hpp"

/// Messages between a parent and the ranks on its host through shared memory: tasks from the parent to all of them, and
/// results from each of them back; events of both sides, and the answers to those. Everything is made by the parent:
/// - its own segment, which ranks cannot write, and a segment for each rank, which both write (memory_layout.hpp);
/// - the segments in the slots of the arenas, when they are needed. Ranks cannot write those of the parent.
namespace rankexec {

/// What a rank is told with the descriptors of its rings: the parent's segment and its own.
struct MemoryOffer {
    static constexpr std::uint32_t kVersion = 3;
    std::uint32_t version = kVersion;
    std::uint32_t rank = 0;
    std::uint32_t world_size = 0;
    std::uint32_t unused = 0;
    std::uint64_t task_bytes = 0;    ///< capacity of the ring of tasks
    std::uint64_t answer_bytes = 0;  ///< capacity of the rank's ring of results
    std::uint64_t event_bytes = 0;   ///< capacity of each ring of events and of answers to them
};

/// The parent's side. hand_over(), has() and allocate() on any thread; drop() on one; send_to_all(), receive() and
/// wait() on one, from the time on when every rank that takes part has got its memory. What concerns events: receiving
/// on one thread, each kind of sending on one at a time.
class RANKEXEC_EXPORT ParentMemory {
public:
    struct Sizes {
        std::size_t task_bytes = std::size_t{1} << 20U;
        std::size_t answer_bytes = std::size_t{1} << 18U;
        std::size_t event_bytes = std::size_t{1} << 16U;
        std::size_t payload_bytes = std::size_t{1} << 32U;  ///< of all arenas together, at most
    };
    /// Enough for small messages, with all their pages allocated while the group starts: 16 MiB at most for all ranks.
    [[nodiscard]] static Sizes sizes_for(int world_size) noexcept;

    static tl::expected<std::shared_ptr<ParentMemory>, std::string> create(int world_size, Sizes sizes);
    ~ParentMemory();
    ParentMemory(const ParentMemory&) = delete;
    ParentMemory& operator=(const ParentMemory&) = delete;

    /// What a rank asks for. From the time on when it has got its rings, nothing that it has not read is overwritten. A
    /// rank that was dropped, or asks for them again, gets nothing: its process is another one than that which got
    /// them.
    [[nodiscard]] tl::expected<HandoverServer::Handover, std::string> hand_over(int rank, const HandoverWish& wish);
    /// That rank has ended, or does not follow the rules. What was received from it stays.
    void drop(int rank);
    [[nodiscard]] bool has(int rank) const;

    /// Sends one message to every rank that has got its memory. False when it does not fit: it is too large, or ranks
    /// are behind with reading, or hold what was sent before.
    [[nodiscard]] bool send_to_all(std::span<const wire::Frame> frames) { return tasks_->send(frames); }
    /// Memory for a tensor that will be sent to all; nullptr when there is none.
    [[nodiscard]] ArenaBlock allocate(std::size_t size) { return tasks_->allocate(size); }

    /// The next answer of that rank, which has got its memory.
    [[nodiscard]] MemoryReceived receive(int rank) { return peer(rank).answers->receive(); }
    /// As RingReader::wait.
    bool wait(int rank, const Interrupt& interrupt, std::uint32_t seen,
              std::optional<std::chrono::steady_clock::time_point> deadline) {
        return peer(rank).answers->wait(interrupt, seen, deadline);
    }

    /// Whether events can go this way; not in a group of more ranks than one thread can wait for.
    [[nodiscard]] bool carries_events() const noexcept { return peers_.size() <= RingWaiter::kMostRings; }
    /// That rank's events, when it has got its memory; as long as this lives, and the rank is not dropped.
    [[nodiscard]] FrameRingReader& events_of(int rank);
    /// An event, to every rank that has got its memory.
    [[nodiscard]] FrameRingWriter::Sent send_event(std::span<const wire::Frame> frames) {
        return events_->send(frames);
    }
    /// The answer to an event of that rank, which has got its memory.
    [[nodiscard]] FrameRingWriter::Sent send_event_answer(int rank, std::span<const wire::Frame> frames) {
        return peer(rank).event_answers->send(frames);
    }

private:
    struct Peer {
        std::shared_ptr<Segment> segment;
        std::unique_ptr<FrameRingReader> events;
        std::unique_ptr<FrameRingWriter> event_answers;
        std::unique_ptr<MemoryReader> answers;
        std::map<std::uint64_t, std::shared_ptr<Segment>> new_results;  ///< that no message has referred to yet
        bool gone = false;
    };

    ParentMemory(int world_size, Sizes sizes, Segment segment);
    [[nodiscard]] tl::expected<HandoverServer::Handover, std::string> hand_over_rings(int rank);
    [[nodiscard]] tl::expected<HandoverServer::Handover, std::string> hand_over_task(std::uint64_t number) const;
    [[nodiscard]] tl::expected<HandoverServer::Handover, std::string> hand_over_result(int rank,
                                                                                       const HandoverWish& wish);
    [[nodiscard]] tl::expected<std::shared_ptr<Segment>, std::string> make_payload(std::size_t size,
                                                                                   Segment::Access access) const;
    [[nodiscard]] ParentLayout layout() const;
    Peer& peer(int rank) { return peers_.at(static_cast<std::size_t>(rank)); }

    const Sizes sizes_;
    const std::shared_ptr<std::atomic<std::size_t>> payload_bytes_;  ///< in segments that exist
    const std::shared_ptr<Segment> segment_;
    std::unique_ptr<MemoryWriter> tasks_;
    std::unique_ptr<FrameRingWriter> events_;
    mutable std::mutex mutex_;  ///< guards peers_, but for reading the answers of one that has got its memory
    std::vector<Peer> peers_;
};

/// A rank's side. One thread sends, one receives; allocate() on any thread. Each ring of events is for one thread at a
/// time.
class RANKEXEC_EXPORT RankMemory {
public:
    /// Asks the parent; any thread.
    using Ask = std::function<tl::expected<ReceivedHandover, std::string>(const HandoverWish&)>;

    /// Takes what came from the parent for HandoverWish::Kind::rings. Fails when it is not what a parent offers this
    /// rank.
    static tl::expected<std::unique_ptr<RankMemory>, std::string> accept(ReceivedHandover received, int rank,
                                                                         int world_size, Ask ask);

    /// Answers. False when it does not fit.
    [[nodiscard]] bool send(std::span<const wire::Frame> frames) { return answers_->send(frames); }
    /// Memory for a tensor of an answer; nullptr when there is none.
    [[nodiscard]] ArenaBlock allocate(std::size_t size) { return answers_->allocate(size); }
    [[nodiscard]] MemoryReceived receive() { return tasks_->receive(); }
    [[nodiscard]] bool has_message() const noexcept { return tasks_->has_message(); }
    bool wait(const Interrupt& interrupt, std::uint32_t seen) { return tasks_->wait(interrupt, seen, std::nullopt); }

    /// Whether the parent takes events here.
    [[nodiscard]] bool carries_events() const noexcept { return events_ != nullptr; }
    // When it does:
    /// This rank's events, and its answers to the parent's.
    [[nodiscard]] FrameRingWriter& events() noexcept { return *events_; }
    /// The parent's events.
    [[nodiscard]] FrameRingReader& parent_events() noexcept { return *parent_events_; }
    /// The parent's answers to this rank's events.
    [[nodiscard]] FrameRingReader& event_answers() noexcept { return *event_answers_; }

private:
    RankMemory(Segment parents, Segment own, const MemoryOffer& offer, const Ask& ask);

    std::unique_ptr<MemoryReader> tasks_;
    std::unique_ptr<MemoryWriter> answers_;
    std::unique_ptr<FrameRingWriter> events_;
    std::unique_ptr<FrameRingReader> parent_events_;
    std::unique_ptr<FrameRingReader> event_answers_;
};

}  // namespace rankexec
