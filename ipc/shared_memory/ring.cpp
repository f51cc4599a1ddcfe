// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/shared_memory/ring.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>
#include <stdexcept>

namespace rankexec {
namespace {

using Size = std::uint64_t;  // of a message, before it

/// Positions are kept to whole sizes, so that a size never lies around the end.
constexpr std::uint64_t padded(std::uint64_t size) { return (size + sizeof(Size) - 1) / sizeof(Size) * sizeof(Size); }

template <typename Bytes>
Bytes data_of(Bytes memory) {
    if (memory.size() < sizeof(WriterState) || !is_ring_capacity(memory.size() - sizeof(WriterState))) {
        throw std::invalid_argument("a ring's capacity must be a power of two");
    }
    return memory.subspan(sizeof(WriterState));
}

}  // namespace

// ---- writer -------------------------------------------------------------------------------------

RingWriter::RingWriter(std::span<std::byte> memory)
    : state_(reinterpret_cast<WriterState*>(memory.data())), data_(data_of(memory)) {}

void RingWriter::add_reader(const ReaderState& reader) { readers_.push_back(&reader); }

void RingWriter::remove_reader(const ReaderState& reader) { std::erase(readers_, &reader); }

std::uint64_t RingWriter::oldest_unread() const noexcept {
    auto oldest = written_;
    for (const auto* reader : readers_) {
        // A reader that claims what it cannot have read harms itself alone; one that claims less, or to lie further
        // back than the ring reaches, keeps it full.
        const auto behind =
            std::min<std::uint64_t>(written_ - reader->read.load(std::memory_order_acquire), data_.size());
        oldest = std::min(oldest, written_ - behind);
    }
    return oldest;
}

void RingWriter::copy_in(std::uint64_t position, std::span<const std::byte> bytes) noexcept {
    if (bytes.empty()) return;
    const auto begin = static_cast<std::size_t>(position & (data_.size() - 1));
    const auto first = std::min(bytes.size(), data_.size() - begin);
    std::memcpy(data_.data() + begin, bytes.data(), first);
    if (first < bytes.size()) std::memcpy(data_.data(), bytes.data() + first, bytes.size() - first);
}

bool RingWriter::put(std::span<const std::span<const std::byte>> pieces) {
    const Size size = std::accumulate(pieces.begin(), pieces.end(), Size{0},
                                      [](Size sum, const auto& piece) { return sum + piece.size(); });
    if (size > largest()) return false;
    const auto end = written_ + sizeof(Size) + padded(size);
    if (end - unread_ > data_.size()) {
        unread_ = oldest_unread();
        if (end - unread_ > data_.size()) return false;
    }
    copy_in(written_, std::as_bytes(std::span(&size, 1)));
    auto position = written_ + sizeof(Size);
    for (const auto& piece : pieces) {
        copy_in(position, piece);
        position += piece.size();
    }
    written_ = end;
    // In one order with what readers do before they sleep: either they see the message or we see them.
    state_->written.store(written_, std::memory_order_seq_cst);
    const bool sleeping = std::ranges::any_of(
        readers_, [](const ReaderState* reader) { return reader->sleeping.load(std::memory_order_seq_cst) != 0; });
    if (sleeping) wake_all(state_->bell);
    return true;
}

void RingWriter::wait_for_room(std::size_t size, const Interrupt& interrupt, std::uint32_t seen) noexcept {
    const auto position = [](const ReaderState* reader) { return reader->read.load(std::memory_order_seq_cst); };
    const auto needed = written_ + sizeof(Size) + padded(size) - data_.size();
    const auto wanted = std::max(needed, written_ - std::min<std::uint64_t>(written_, data_.size() / 2));
    state_->wanted.store(wanted, std::memory_order_seq_cst);
    while (interrupt.value() == seen) {
        const auto last = std::ranges::max_element(readers_, {}, [&](const auto* reader) {
            return std::min<std::uint64_t>(written_ - position(reader), data_.size());
        });
        if (last == readers_.end()) break;
        const auto read = position(*last);
        // One that lies further back than the ring reaches never makes room; this is left by the interrupt alone.
        if (written_ - read <= written_ - wanted) break;
        const WordAt word{&(*last)->read, static_cast<std::uint32_t>(read)};
        sleep_on(std::span(&word, 1), interrupt, seen, std::nullopt);
    }
    state_->wanted.store(0, std::memory_order_relaxed);
}

// ---- reader -------------------------------------------------------------------------------------

RingReader::RingReader(std::span<const std::byte> memory, ReaderState& state)
    : writer_(reinterpret_cast<const WriterState*>(memory.data())), data_(data_of(memory)), state_(&state) {
    read_ = state_->read.load(std::memory_order_relaxed);
}

void RingReader::copy_out(std::uint64_t position, std::span<std::byte> bytes) const noexcept {
    if (bytes.empty()) return;
    const auto begin = static_cast<std::size_t>(position & (data_.size() - 1));
    const auto first = std::min(bytes.size(), data_.size() - begin);
    std::memcpy(bytes.data(), data_.data() + begin, first);
    if (first < bytes.size()) std::memcpy(bytes.data() + first, data_.data(), bytes.size() - first);
}

RingReader::Taken RingReader::take(std::vector<std::byte>& message) {
    const auto read = read_.load(std::memory_order_relaxed);
    const auto available = writer_->written.load(std::memory_order_acquire) - read;
    if (available == 0) return Taken::nothing;
    if (available > data_.size() || available < sizeof(Size)) return Taken::corrupt;
    Size size = 0;
    copy_out(read, std::as_writable_bytes(std::span(&size, 1)));
    // A message is published as a whole. (Compared so that nothing overflows.)
    if (size > available - sizeof(Size) || padded(size) > available - sizeof(Size)) return Taken::corrupt;
    message.resize(size);
    copy_out(read + sizeof(Size), message);
    const auto end = read + sizeof(Size) + padded(size);
    read_.store(end, std::memory_order_relaxed);
    // In one order with what a writer does before it sleeps: either it sees the room or we see that it wants it.
    state_->read.store(end, std::memory_order_seq_cst);
    const auto wanted = writer_->wanted.load(std::memory_order_seq_cst);
    if (wanted != 0 && read < wanted && end >= wanted) wake_sleepers(&state_->read);
    return Taken::message;
}

// ---- waiter -------------------------------------------------------------------------------------

bool RingWaiter::wait(std::span<RingReader* const> rings, const Interrupt& interrupt, std::uint32_t seen,
                      std::optional<std::chrono::steady_clock::time_point> deadline) {
    using Clock = std::chrono::steady_clock;
    const auto any = [&] { return std::ranges::any_of(rings, &RingReader::has_message); };
    for (int turn = 0; turn < patience_.yields(); ++turn) {
        if (any()) return true;
        if (interrupt.value() != seen) return false;
        ::sched_yield();
    }
    const auto begin = Clock::now();
    std::array<WordAt, kMostRings> bells;
    for (auto* ring : rings) ring->state_->sleeping.store(1, std::memory_order_seq_cst);
    bool found = false;
    for (;;) {
        std::size_t count = 0;
        for (const auto* ring : rings) {
            const auto& bell = ring->writer_->bell;
            bells.at(count++) = {&bell, bell.load(std::memory_order_seq_cst)};
            const auto written = ring->writer_->written.load(std::memory_order_seq_cst);
            found = found || written != ring->read_.load(std::memory_order_relaxed);
        }
        if (found || interrupt.value() != seen || (deadline && Clock::now() >= *deadline)) break;
        sleep_on(std::span(bells).first(count), interrupt, seen, deadline);
    }
    for (auto* ring : rings) ring->state_->sleeping.store(0, std::memory_order_relaxed);
    patience_.on_slept(Clock::now() - begin);
    return found;
}

}  // namespace rankexec
