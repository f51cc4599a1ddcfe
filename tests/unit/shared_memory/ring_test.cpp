// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/shared_memory/ring.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <deque>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "rankexec/ipc/shared_memory/segment.hpp"

namespace {

using namespace rankexec;
using Message = std::vector<std::byte>;
using Taken = RingReader::Taken;
constexpr std::size_t kCapacity = 1024;

bool put(RingWriter& writer, const Message& message) {
    const std::array<std::span<const std::byte>, 1> pieces{message};
    return writer.put(pieces);
}

bool wait_for(RingReader& reader, const Interrupt& interrupt, std::uint32_t seen,
              std::optional<std::chrono::steady_clock::time_point> deadline = std::nullopt) {
    RingReader* const rings[] = {&reader};
    RingWaiter waiter;
    return waiter.wait(rings, interrupt, seen, deadline);
}

/// A ring in one segment, the states of its readers in another.
struct Shared {
    explicit Shared(std::size_t readers)
        : ring(*Segment::create(ring_size(kCapacity), Segment::Access::read)),
          states(*Segment::create(readers * sizeof(ReaderState), Segment::Access::read_write)),
          writer(ring.bytes()) {
        for (std::size_t reader = 0; reader < readers; ++reader) writer.add_reader(state(reader));
    }
    ReaderState& state(std::size_t reader) { return reinterpret_cast<ReaderState*>(states.bytes().data())[reader]; }
    RingReader reader(std::size_t number = 0) { return {ring.bytes(), state(number)}; }
    bool put(const Message& message) { return ::put(writer, message); }

    Segment ring;
    Segment states;
    RingWriter writer;
};

Message numbered(std::uint64_t number, std::size_t size = 8) {
    Message bytes(std::max<std::size_t>(size, 8), static_cast<std::byte>(number));
    std::memcpy(bytes.data(), &number, sizeof number);
    return bytes;
}

TEST(Ring, MessagesOfAllSizesArriveAsTheyWere) {
    Shared shared(1);
    auto reader = shared.reader();
    Message message;
    EXPECT_EQ(reader.take(message), Taken::nothing);
    for (std::size_t size = 0; size <= shared.writer.largest(); ++size) {
        const Message sent(size, static_cast<std::byte>(size));
        const std::span<const std::byte> all(sent);
        const std::array pieces{all.first(size / 3), all.subspan(size / 3)};
        ASSERT_TRUE(shared.writer.put(pieces));
        ASSERT_EQ(reader.take(message), Taken::message);
        ASSERT_EQ(message, sent);
    }
    EXPECT_FALSE(shared.put(Message(shared.writer.largest() + 1)));
    EXPECT_EQ(reader.take(message), Taken::nothing);
}

TEST(Ring, EveryReaderGetsEverything) {
    Shared shared(3);
    std::array<RingReader, 3> readers{shared.reader(0), shared.reader(1), shared.reader(2)};
    Message message;
    for (std::uint64_t number = 0; number < 500; ++number) {
        ASSERT_TRUE(shared.put(numbered(number, number % 200)));
        for (auto& reader : readers) {
            ASSERT_EQ(reader.take(message), Taken::message);
            ASSERT_EQ(message, numbered(number, number % 200));
        }
    }
}

TEST(Ring, WhatIsNotReadIsNotOverwritten) {
    Shared shared(2);
    auto quick = shared.reader(0);
    auto slow = shared.reader(1);
    Message message;
    std::uint64_t sent = 0;
    for (; shared.put(numbered(sent)); ++sent) ASSERT_EQ(quick.take(message), Taken::message);
    EXPECT_EQ(sent, kCapacity / 16);
    ASSERT_EQ(slow.take(message), Taken::message);
    EXPECT_TRUE(shared.put(numbered(sent++)));
    EXPECT_FALSE(shared.put(numbered(sent)));
    for (std::uint64_t number = 1; number < sent; ++number) {
        ASSERT_EQ(slow.take(message), Taken::message);
        EXPECT_EQ(message, numbered(number));
    }
    EXPECT_EQ(slow.take(message), Taken::nothing);
}

TEST(Ring, AReaderMissesNothingFromWhereItWasAdded) {
    Shared shared(1);
    auto first = shared.reader();
    Message message;
    ASSERT_TRUE(shared.put(numbered(1)));
    ReaderState late;
    late.read = shared.writer.position();
    shared.writer.add_reader(late);
    ASSERT_TRUE(shared.put(numbered(2)));
    RingReader second(shared.ring.bytes(), late);
    ASSERT_EQ(second.take(message), Taken::message);
    EXPECT_EQ(message, numbered(2));
    ASSERT_EQ(first.take(message), Taken::message);
    EXPECT_EQ(message, numbered(1));
}

TEST(Ring, AReaderThatIsRemovedHoldsNothingUp) {
    Shared shared(2);
    auto reader = shared.reader(0);
    Message message;
    std::uint64_t sent = 0;
    for (; shared.put(numbered(sent)); ++sent) ASSERT_EQ(reader.take(message), Taken::message);
    shared.writer.remove_reader(shared.state(1));
    for (; sent < 1000; ++sent) {
        ASSERT_TRUE(shared.put(numbered(sent)));
        ASSERT_EQ(reader.take(message), Taken::message);
    }
}

TEST(Ring, AReaderThatLiesHarmsItselfAlone) {
    Shared shared(2);
    auto honest = shared.reader(0);
    Message message;
    std::mt19937_64 random(1);
    std::uint64_t sent = 0;
    for (std::uint64_t number = 0; number < 5000; ++number) {
        shared.state(1).read = number % 3 == 0 ? random() : shared.state(0).read.load();
        shared.state(1).sleeping = static_cast<std::uint32_t>(random());
        if (!shared.put(numbered(number, number % 300))) continue;
        ++sent;
        ASSERT_EQ(honest.take(message), Taken::message);
        ASSERT_EQ(message, numbered(number, number % 300));
    }
    EXPECT_GT(sent, 1000U);
}

TEST(Ring, AWriterThatLiesIsFoundOut) {
    std::mt19937_64 random(2);
    Message message;
    for (int round = 0; round < 2000; ++round) {
        Shared shared(1);
        auto reader = shared.reader();
        ASSERT_TRUE(shared.put(numbered(1)));
        auto* const bytes = shared.ring.bytes().data();
        auto* const state = reinterpret_cast<WriterState*>(bytes);
        std::uint64_t size = 0;
        switch (round % 4) {
            case 0: state->written = kCapacity + 8 + random() % 100'000; break;  // more than there can be
            case 1: state->written = random() | 1ULL << 32U; break;
            case 2: size = 9 + random() % 100; break;  // longer than what was published
            default: size = random() | 1ULL << 63U; break;
        }
        if (size != 0) std::memcpy(bytes + sizeof(WriterState), &size, sizeof size);
        EXPECT_EQ(reader.take(message), Taken::corrupt) << round;
        for (auto& byte : shared.ring.bytes()) byte = static_cast<std::byte>(random());
        (void)reader.take(message);
        EXPECT_LE(message.size(), kCapacity);
    }
}

TEST(Ring, ACapacityThatIsNoPowerOfTwoIsRefused) {
    const auto memory = *Segment::create(ring_size(1000), Segment::Access::read);
    EXPECT_THROW(RingWriter(memory.bytes()), std::invalid_argument);
    EXPECT_THROW(RingWriter(memory.bytes().first(64)), std::invalid_argument);
}

TEST(Ring, WaitEndsWithAMessageAnInterruptOrTheDeadline) {
    Shared shared(1);
    auto reader = shared.reader();
    Interrupt interrupt;
    Message message;
    const auto soon = [] { return std::chrono::steady_clock::now() + std::chrono::milliseconds(20); };
    EXPECT_FALSE(wait_for(reader, interrupt, interrupt.value(), soon()));
    EXPECT_EQ(shared.state(0).sleeping, 0U);

    const auto seen = interrupt.value();
    interrupt.ring();
    EXPECT_FALSE(wait_for(reader, interrupt, seen));  // was rung before the wait began

    const auto once_it_sleeps = [&shared] {
        while (shared.state(0).sleeping == 0) std::this_thread::yield();
    };
    {
        const std::jthread other([&] {
            once_it_sleeps();
            interrupt.ring();
        });
        EXPECT_FALSE(wait_for(reader, interrupt, interrupt.value()));
    }
    {
        const std::jthread other([&] {
            once_it_sleeps();
            EXPECT_TRUE(shared.put(numbered(5)));
        });
        EXPECT_TRUE(wait_for(reader, interrupt, interrupt.value()));
    }
    EXPECT_TRUE(wait_for(reader, interrupt, interrupt.value(), soon()));
    EXPECT_EQ(reader.take(message), Taken::message);
}

TEST(Ring, OneThreadWaitsForSeveralRings) {
    constexpr std::size_t kRings = 5;
    std::deque<Shared> shared;
    std::deque<RingReader> readers;
    std::vector<RingReader*> rings;
    for (std::size_t index = 0; index < kRings; ++index) {
        shared.emplace_back(1);
        rings.push_back(&readers.emplace_back(shared.back().ring.bytes(), shared.back().state(0)));
    }
    RingWaiter waiter;
    const Interrupt nobody;
    const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
    EXPECT_FALSE(waiter.wait(rings, nobody, 0, soon));
    Message message;
    for (std::size_t index = 0; index < kRings; ++index) {
        const std::jthread other([&] {
            while (shared[index].state(0).sleeping == 0) std::this_thread::yield();
            EXPECT_TRUE(shared[index].put(numbered(index)));
        });
        EXPECT_TRUE(waiter.wait(rings, nobody, 0));
        EXPECT_EQ(readers[index].take(message), Taken::message);
    }
    EXPECT_EQ(shared[0].state(0).sleeping, 0U);
    const Interrupt rung;
    EXPECT_FALSE(waiter.wait({}, rung, 1));
}

TEST(Ring, AWriterSleepsUntilThereIsRoom) {
    Shared shared(2);
    std::array<RingReader, 2> readers{shared.reader(0), shared.reader(1)};
    constexpr std::uint64_t kMessages = 20'000;
    const std::jthread writer([&] {
        const Interrupt nobody;
        for (std::uint64_t number = 0; number < kMessages; ++number) {
            const auto message = numbered(number, number % 700);
            while (!shared.put(message)) shared.writer.wait_for_room(message.size(), nobody, 0);
        }
    });
    const auto read_all = [&](RingReader& reader) {
        const Interrupt nobody;
        Message message;
        for (std::uint64_t number = 0; number < kMessages; ++number) {
            while (reader.take(message) == Taken::nothing) wait_for(reader, nobody, 0);
            ASSERT_EQ(message, numbered(number, number % 700));
            // Now and then the writer must sleep.
            if (number % 2000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    };
    const std::jthread second([&] { read_all(readers[1]); });
    read_all(readers[0]);
}

TEST(Ring, AWriterThatWaitsForRoomIsInterrupted) {
    Shared shared(1);
    while (shared.put(numbered(1, 100))) continue;
    Interrupt interrupt;
    const std::jthread other([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        interrupt.ring();
    });
    shared.writer.wait_for_room(100, interrupt, interrupt.value());
    EXPECT_FALSE(shared.put(numbered(1, 100)));
    // A reader that claims to have read what was not written makes no room, and no endless loop.
    shared.state(0).read = std::uint64_t{1} << 40U;
    const std::jthread another([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        interrupt.ring();
    });
    shared.writer.wait_for_room(100, interrupt, interrupt.value());
}

/// What a rank has: the states of both rings' readers, then its ring of answers.
constexpr std::size_t kRankSegment = 2 * sizeof(ReaderState) + ring_size(kCapacity);

/// Answers each message of the parent's ring, which this process can only read, with one of its own.
[[noreturn]] void echo(int ring_descriptor, const Segment& own) {
    const auto ring = Segment::map(UniqueFd(ring_descriptor), ring_size(kCapacity), Segment::Access::read);
    if (!ring) ::_exit(1);
    auto* const states = reinterpret_cast<ReaderState*>(own.bytes().data());
    RingReader reader(ring->bytes(), states[0]);
    RingWriter writer(own.bytes().subspan(2 * sizeof(ReaderState)));
    writer.add_reader(states[1]);
    const Interrupt nobody;
    for (Message message;;) {
        wait_for(reader, nobody, 0);
        const auto taken = reader.take(message);
        if (taken == Taken::nothing) continue;
        if (taken == Taken::corrupt) ::_exit(2);
        if (message.empty()) ::_exit(0);
        if (!put(writer, message)) ::_exit(3);
    }
}

TEST(Ring, CarriesMessagesBetweenProcesses) {
    constexpr std::size_t kRanks = 3;
    const auto ring = *Segment::create(ring_size(kCapacity), Segment::Access::read);
    RingWriter writer(ring.bytes());
    std::vector<Segment> segments;
    std::deque<RingReader> readers;
    std::vector<pid_t> ranks;
    for (std::size_t index = 0; index < kRanks; ++index) {
        const auto& own = segments.emplace_back(*Segment::create(kRankSegment, Segment::Access::read_write));
        auto* const states = reinterpret_cast<ReaderState*>(own.bytes().data());
        writer.add_reader(states[0]);
        readers.emplace_back(own.bytes().subspan(2 * sizeof(ReaderState)), states[1]);
        const pid_t rank = ::fork();
        if (rank == 0) echo(::dup(ring.descriptor()), own);
        ranks.push_back(rank);
    }
    const Interrupt nobody;
    Message message;
    for (std::uint64_t number = 1; number <= 3000; ++number) {
        // Long enough for everyone to sleep, now and then.
        if (number % 300 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        const auto sent = numbered(number, number % 400);
        ASSERT_TRUE(put(writer, sent));
        for (auto& reader : readers) {
            while (reader.take(message) == Taken::nothing) wait_for(reader, nobody, 0);
            ASSERT_EQ(message, sent);
        }
    }
    ASSERT_TRUE(put(writer, {}));
    for (const auto rank : ranks) {
        int status = 0;
        ASSERT_EQ(::waitpid(rank, &status, 0), rank);
        EXPECT_EQ(status, 0);
    }
}

}  // namespace
