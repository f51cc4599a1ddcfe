// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/shared_memory/futex.hpp"
#include "rankexec/ipc/shared_memory/patience.hpp"

/// Messages from one writer to any number of readers, each of which gets all of them, through memory that they share.
///
/// Writer and readers do not trust each other. Each side writes into memory of its own only: the writer into the ring,
/// a reader into its ReaderState, which may lie in another segment. What the other side could have written is copied
/// before it is checked, and checked before it is used.
namespace rankexec {

/// In the writer's memory, before the data.
struct WriterState {
    alignas(64) std::atomic<std::uint64_t> written{0};  ///< bytes, since the beginning
    std::atomic<std::uint64_t> wanted{0};               ///< where `read` is to wake the writer; 0: nowhere
    alignas(64) Bell bell{0};
};

/// In the reader's memory.
struct ReaderState {
    alignas(64) std::atomic<std::uint64_t> read{0};  ///< bytes, since the beginning; a writer may sleep on it
    std::atomic<std::uint32_t> sleeping{0};          ///< 1: the bell is to be rung after the next message
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// Bytes that a ring for `capacity` bytes of data takes.
[[nodiscard]] constexpr std::size_t ring_size(std::size_t capacity) { return sizeof(WriterState) + capacity; }

/// What a ring can have: powers of two that hold a message's length at least.
[[nodiscard]] constexpr bool is_ring_capacity(std::uint64_t bytes) {
    return bytes >= sizeof(std::uint64_t) && std::has_single_bit(bytes);
}

/// One thread at a time.
class RANKEXEC_EXPORT RingWriter {
public:
    /// `memory`: ring_size() of a capacity that is a power of two, zeroed, and aligned as WriterState is; outlives
    /// this.
    explicit RingWriter(std::span<std::byte> memory);

    /// From now on nothing is overwritten that it has not read. `reader.read` is where it begins: position(), or 0 as
    /// long as nothing was written. The state outlives this, or is removed first.
    void add_reader(const ReaderState& reader);
    void remove_reader(const ReaderState& reader);

    /// Where the next message will begin.
    [[nodiscard]] std::uint64_t position() const noexcept { return written_; }

    /// The largest message that ever fits.
    [[nodiscard]] std::size_t largest() const noexcept { return data_.size() - sizeof(std::uint64_t); }

    /// Writes one message, put together from pieces, and wakes the readers that sleep. False, and nothing is written,
    /// when a reader has not made room for it yet (or it never fits).
    [[nodiscard]] bool put(std::span<const std::span<const std::byte>> pieces);

    /// After put() was false for a message of that many bytes, which is not larger than largest(): waits until the
    /// readers have made room for it, and for as much again as fits the ring half, so that one wake-up serves many
    /// messages; or until `interrupt` differs from `seen`. There must be a reader.
    void wait_for_room(std::size_t size, const Interrupt& interrupt, std::uint32_t seen) noexcept;

private:
    [[nodiscard]] std::uint64_t oldest_unread() const noexcept;
    void copy_in(std::uint64_t position, std::span<const std::byte> bytes) noexcept;

    WriterState* state_;
    std::span<std::byte> data_;
    std::vector<const ReaderState*> readers_;
    std::uint64_t written_ = 0;  ///< as state_ has it, where no peer can change it
    std::uint64_t unread_ = 0;   ///< oldest position that a reader may still need, as known
};

/// One thread takes, one waits (RingWaiter), at a time; they may be two.
class RANKEXEC_EXPORT RingReader {
public:
    enum class Taken {
        nothing,  ///< there is no message
        message,
        corrupt,  ///< the writer does not follow the rules; the ring must not be used any more
    };

    /// `memory` as the writer has it, `state` in this reader's own memory; both outlive this. Begins at `state.read`,
    /// as the writer knows it, so that what was written since then is not missed.
    RingReader(std::span<const std::byte> memory, ReaderState& state);

    /// Copies the next message to `message`, whose memory is used again.
    [[nodiscard]] Taken take(std::vector<std::byte>& message);

    /// Whether take() would find something.
    [[nodiscard]] bool has_message() const noexcept {
        return writer_->written.load(std::memory_order_acquire) != read_.load(std::memory_order_relaxed);
    }

private:
    friend class RingWaiter;
    void copy_out(std::uint64_t position, std::span<std::byte> bytes) const noexcept;

    const WriterState* writer_;
    std::span<const std::byte> data_;
    ReaderState* state_;
    std::atomic<std::uint64_t> read_{0};  ///< as state_ has it, where no peer can change it; atomic for a waiter
};

/// Waits for messages in any of several rings. One thread at a time.
class RANKEXEC_EXPORT RingWaiter {
public:
    /// What futex_waitv(2) takes, but for the interrupt.
    static constexpr std::size_t kMostRings = 127;

    /// Waits until one of the rings has a message, `interrupt` differs from `seen` (a value that was read before the
    /// caller looked at what it tells of), or the deadline has come. Says whether there is a message.
    bool wait(std::span<RingReader* const> rings, const Interrupt& interrupt, std::uint32_t seen,
              std::optional<std::chrono::steady_clock::time_point> deadline = std::nullopt);

private:
    Patience patience_;
};

}  // namespace rankexec
