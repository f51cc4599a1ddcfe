// SPDX-License-Identifier: Apache-2.0
// Large messages in parts: what is sent when, and what a receiver takes.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <random>

#include "rankexec/ipc/channel/assembly.hpp"
#include "rankexec/ipc/channel/outbox.hpp"

namespace rankexec {
namespace {

using wire::kPartBytes;
using wire::kPartsOnTheWay;

Tensor tensor_of(std::size_t size, unsigned seed = 1) {
    std::vector<std::byte> bytes(size);
    std::mt19937 random(seed);
    for (std::size_t at = 0; at < size; at += 97) bytes[at] = static_cast<std::byte>(random());
    return Tensor::copy_bytes(DType::uint8, {static_cast<std::int64_t>(size)}, bytes);
}

wire::Execute task_of(std::initializer_list<std::size_t> sizes, std::size_t text = 0) {
    wire::Execute task;
    task.task_id = 7;
    task.task = std::string(text, 'x');
    for (const auto size : sizes)
        task.input.tensors.emplace("t" + std::to_string(task.input.tensors.size()), tensor_of(size));
    return task;
}

wire::EncodedBody body_of(const wire::Message& message) { return wire::encode_body(message).value(); }

/// An outbox whose messages are kept, and read when the test says so.
class Parts : public ::testing::Test {
protected:
    void push(const wire::Message& message) { outbox.push(body_of(message), send); }

    /// Reads the next one; what is complete is in `complete`, errors are in `errors`.
    void read_one() {
        ASSERT_FALSE(sent.empty());
        auto body = std::move(sent.front());
        sent.pop_front();
        auto frames = wire::with_envelope({}, body).value();
        const auto whole = assembly.complete(body.type, frames);
        ASSERT_TRUE(whole) << whole.error();
        auto decoded = wire::decode(frames);
        if (!decoded) {
            errors.push_back(decoded.error());
        } else if (const auto* part = std::get_if<wire::MessagePart>(&decoded->message)) {
            const auto added = assembly.add(*part);
            ASSERT_TRUE(added) << added.error();
            outbox.taken(part->bytes.bytes().size(), send);
        } else {
            complete.push_back(std::move(decoded->message));
        }
    }
    void read_all() {
        while (!sent.empty() && !HasFatalFailure()) read_one();
    }
    [[nodiscard]] std::size_t bytes_sent() const {
        std::size_t size = 0;
        for (const auto& body : sent) size += wire::size_of(body.frames);
        return size;
    }

    Outbox outbox;
    Assembly assembly;
    std::deque<wire::EncodedBody> sent;
    bool gone = false;
    Outbox::Send send = [this](const wire::EncodedBody& body) {
        if (!gone) sent.push_back(body);
        return !gone;
    };
    std::vector<wire::Message> complete;
    std::vector<wire::DecodeError> errors;
};

TEST_F(Parts, MessagesOfEverySizeArriveAsTheyWere) {
    const std::vector<wire::Execute> tasks{
        task_of({}),
        task_of({kPartBytes}),
        task_of({kPartBytes + 1}),
        task_of({10, 5 * kPartBytes, 0, 3 * kPartBytes - 1, 20}),
        task_of({0, 0}, 3 * kPartBytes),
        task_of({kPartBytes, 70'000, 70'000}, 2 * kPartBytes),
        task_of({60'000, 60'000, 60'000, 60'000, 60'000, 60'000, 60'000, 60'000, 60'000, 60'000,
                 60'000, 60'000, 60'000, 60'000, 60'000, 60'000, 60'000, 60'000, 60'000, 60'000}),
    };
    for (const auto& task : tasks) push(task);
    read_all();
    ASSERT_EQ(complete.size(), tasks.size());
    EXPECT_TRUE(errors.empty());
    for (std::size_t index = 0; index < tasks.size(); ++index)
        EXPECT_TRUE(complete[index] == wire::Message(tasks[index]));
    EXPECT_EQ(outbox.waiting(), 0U);
}

TEST_F(Parts, ATensorIsSentWhereItLies) {
    const auto task = task_of({3 * kPartBytes});
    const auto bytes = task.input.tensors.begin()->second.bytes();
    push(task);
    std::size_t at = 0;
    for (const auto& body : sent) {
        ASSERT_LE(wire::size_of(body.frames), kPartBytes + 100);
        if (body.type != wire::type_number<wire::MessagePart>()) continue;
        EXPECT_EQ(body.frames.at(1).bytes.data(), bytes.data() + at);
        at += body.frames.at(1).bytes.size();
    }
    EXPECT_EQ(at, bytes.size());
}

TEST_F(Parts, NoMoreIsOnTheWayThanThePeerHasTaken) {
    push(task_of({64 * kPartBytes}));
    for (std::size_t most = 0; !sent.empty(); read_one()) {
        most = std::max(most, bytes_sent());
        ASSERT_LE(most, kPartsOnTheWay + kPartBytes);
    }
    EXPECT_EQ(complete.size(), 1U);
}

TEST_F(Parts, WhoeverTakesNothingGetsNoMore) {
    push(task_of({64 * kPartBytes}));
    const auto first = sent.size();
    EXPECT_LE(bytes_sent(), kPartsOnTheWay + kPartBytes);
    push(task_of({64 * kPartBytes}));
    EXPECT_EQ(sent.size(), first);
    outbox.taken(0, send);
    EXPECT_EQ(sent.size(), first);
    outbox.taken(~std::uint64_t{0}, send);  // more than ever was sent
    EXPECT_LE(bytes_sent(), 2 * (kPartsOnTheWay + kPartBytes));
}

TEST_F(Parts, OrderIsKeptButForWhatMayOvertake) {
    wire::ParentEvent large;
    large.event_id = 1;
    large.type = std::string(8 * kPartBytes, 'e');
    push(large);
    const auto before = sent.size();
    wire::ParentEvent small;
    small.event_id = 2;
    ASSERT_TRUE(outbox.must_take(wire::type_number<wire::ParentEvent>(), 100));
    push(small);
    EXPECT_EQ(sent.size(), before);
    for (const auto type : {wire::type_number<wire::AbortTask>(), wire::type_number<wire::Close>(),
                            wire::type_number<wire::ReportStack>(), wire::type_number<wire::StackReport>(),
                            wire::type_number<wire::PartsTaken>()}) {
        EXPECT_FALSE(outbox.must_take(type, 100));
    }
    // Between the parts, as a channel sends it.
    sent.push_front(body_of(wire::AbortTask{3, "now"}));
    read_all();
    ASSERT_EQ(complete.size(), 3U);
    EXPECT_TRUE(std::holds_alternative<wire::AbortTask>(complete[0]));
    EXPECT_TRUE(complete[1] == wire::Message(large));
    EXPECT_TRUE(complete[2] == wire::Message(small));
}

TEST_F(Parts, ATaskThatIsCutIsOneWithoutItsTensorsAndTheNextOneComes) {
    push(task_of({64 * kPartBytes, 5 * kPartBytes}));
    read_one();
    EXPECT_FALSE(outbox.cut(wire::type_number<wire::Result>(), send));
    EXPECT_TRUE(outbox.cut(wire::type_number<wire::Execute>(), send));
    EXPECT_FALSE(outbox.cut(wire::type_number<wire::Execute>(), send));
    EXPECT_EQ(outbox.waiting(), 0U);
    const auto next = task_of({2 * kPartBytes});
    push(next);
    read_all();
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_EQ(errors.front().kind, wire::DecodeError::Kind::body);
    EXPECT_EQ(errors.front().call, 7U);
    ASSERT_EQ(complete.size(), 1U);
    EXPECT_TRUE(complete.front() == wire::Message(next));
}

TEST_F(Parts, TheBodyOfATaskThatIsCutIsCompleted) {
    push(task_of({64 * kPartBytes}, 12 * kPartBytes));
    EXPECT_TRUE(outbox.cut(wire::type_number<wire::Execute>(), send));
    read_all();
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_EQ(errors.front().call, 7U);
}

TEST_F(Parts, WhatIsFlushedWaitsForNobody) {
    const auto task = task_of({20 * kPartBytes});
    push(task);
    push(task_of({}));
    outbox.flush(send);
    EXPECT_EQ(outbox.waiting(), 0U);
    read_all();
    EXPECT_EQ(complete.size(), 2U);
    EXPECT_TRUE(complete.front() == wire::Message(task));
}

TEST_F(Parts, NothingIsKeptForAPeerThatIsGone) {
    auto bytes = std::make_shared<std::vector<std::byte>>(20 * kPartBytes);
    const std::weak_ptr<void> alive = bytes;
    wire::Execute task;
    task.input.tensors.emplace("t",
                               Tensor::adopt(DType::uint8, {static_cast<std::int64_t>(bytes->size())}, *bytes, bytes));
    bytes.reset();
    push(task);
    task = {};
    sent.clear();
    EXPECT_FALSE(alive.expired());
    gone = true;
    outbox.taken(kPartBytes, send);
    EXPECT_EQ(outbox.waiting(), 0U);
    EXPECT_TRUE(alive.expired());
}

// ---- what a peer must not send --------------------------------------------------------------------

constexpr std::size_t kBody = 1;

class HostileParts : public ::testing::Test {
protected:
    static wire::MessagePart part(std::uint64_t frame, std::uint64_t size, std::uint64_t offset, std::size_t bytes) {
        return {wire::type_number<wire::Result>(), frame, size, offset, tensor_of(bytes)};
    }
    void expect_taken(const wire::MessagePart& part) {
        const auto added = assembly.add(part);
        EXPECT_TRUE(added) << added.error();
    }
    void expect_refused(const wire::MessagePart& part, std::string_view why) {
        const auto added = assembly.add(part);
        ASSERT_FALSE(added) << why;
        EXPECT_NE(added.error().find(why), std::string::npos) << added.error();
    }
    static std::vector<wire::Frame> empty_frames(std::size_t count) { return std::vector<wire::Frame>(count); }

    wire::Limits limits{.body_bytes = 1000, .message_bytes = 5000, .frames = 6};
    Assembly assembly{limits};
};

TEST_F(HostileParts, OutOfOrderMissingOrOverlapping) {
    expect_refused(part(2, 100, 10, 10), "the beginning of frame 2 is missing");
    expect_taken(part(2, 100, 0, 10));
    expect_refused(part(2, 100, 20, 10), "begins at byte 20 of frame 2, of which 10 have come");
    expect_refused(part(2, 100, 0, 10), "begins at byte 0 of frame 2, of which 10 have come");
    expect_refused(part(2, 100, 5, 10), "begins at byte 5");
    expect_refused(part(2, 100, 10, 91), "ends beyond frame 2");
    expect_refused(part(2, 90, 10, 10), "has 100 bytes, then 90");
    expect_refused(part(3, 100, 0, 10), "begins while frame 2 is incomplete");
    expect_taken(part(2, 100, 10, 90));
    expect_refused(part(2, 100, 100, 1), "ends beyond frame 2");
    expect_refused(part(1, 100, 0, 10), "frame 1 cannot follow frame 2");
    expect_taken(part(4, 10, 0, 10));
}

TEST_F(HostileParts, FramesThatNoMessageHas) {
    expect_refused(part(0, 10, 0, 10), "frame 0 cannot follow");
    expect_refused(part(6, 10, 0, 10), "frame 6 cannot follow");
    expect_refused(part(~std::uint64_t{0}, 10, 0, 10), "cannot follow");
    auto other = part(2, 10, 0, 10);
    for (const auto type : {std::uint16_t{0}, std::uint16_t{9999}, wire::type_number<wire::MessagePart>(),
                            wire::type_number<wire::PartsTaken>()}) {
        other.message = type;
        expect_refused(other, "comes in parts");
    }
}

TEST_F(HostileParts, BeyondTheLimits) {
    expect_refused(part(kBody, 1001, 0, 10), "over the limit of 1000 bytes");
    expect_refused(part(2, 5001, 0, 10), "over the limit of 5000 bytes");
    expect_refused(part(2, ~std::uint64_t{0}, 0, 10), "over the limit");
    expect_taken(part(kBody, 1000, 0, 1000));
    expect_taken(part(2, 3000, 0, 3000));
    expect_refused(part(3, 1001, 0, 10), "over the limit");
    expect_taken(part(3, 1000, 0, 10));
}

TEST_F(HostileParts, WithoutBytesOrWithOtherThanBytes) {
    expect_refused(part(2, 100, 0, 0), "it is empty");
    expect_refused(part(2, 0, 0, 0), "it is empty");
    expect_refused(part(2, 0, 0, 1), "ends beyond frame 2");
    auto other = part(2, 100, 0, 8);
    other.bytes = Tensor::copy_bytes(DType::int8, {8}, other.bytes.bytes());
    expect_refused(other, "no plain bytes");
    other.bytes = Tensor::copy_bytes(DType::uint8, {2, 4}, other.bytes.bytes());
    expect_refused(other, "no plain bytes");
}

TEST_F(HostileParts, OfAnotherMessageWhileOneIsIncomplete) {
    expect_taken(part(2, 100, 0, 10));
    auto other = part(2, 100, 10, 10);
    other.message = wire::type_number<wire::EventDone>();
    expect_refused(other, "while one of type 5 is incomplete");
}

TEST_F(HostileParts, OfFramesThatTheMessageLacksOrHolds) {
    const auto type = wire::type_number<wire::Result>();
    expect_taken(part(4, 10, 0, 10));
    auto frames = empty_frames(4);
    EXPECT_FALSE(assembly.complete(type, frames));
    expect_taken(part(2, 10, 0, 10));
    frames = empty_frames(4);
    frames[2].bytes = std::as_bytes(std::span("held"));
    EXPECT_FALSE(assembly.complete(type, frames));
    // And what was wrong is over then.
    frames = empty_frames(4);
    EXPECT_TRUE(assembly.complete(type, frames));
    EXPECT_TRUE(frames[2].bytes.empty());
}

TEST_F(HostileParts, AnIncompleteFrameStaysEmpty) {
    const auto type = wire::type_number<wire::Result>();
    expect_taken(part(2, 10, 0, 10));
    expect_taken(part(3, 100, 0, 99));
    auto frames = empty_frames(5);
    EXPECT_TRUE(assembly.complete(wire::type_number<wire::EventDone>(), frames));
    EXPECT_TRUE(frames[2].bytes.empty());
    EXPECT_TRUE(assembly.complete(type, frames));
    EXPECT_EQ(frames[2].bytes.size(), 10U);
    EXPECT_TRUE(frames[3].bytes.empty());
}

std::size_t peak_kib() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::size_t>(usage.ru_maxrss);
}

TEST(HostilePartsOfAnySize, WhatIsAnnouncedTakesNoMemory) {
    const auto before = peak_kib();
    std::vector<Assembly> peers(64);
    for (auto& assembly : peers) {
        const auto added =
            assembly.add({wire::type_number<wire::Result>(), 2, wire::Limits{}.message_bytes, 0, tensor_of(1)});
        EXPECT_TRUE(added) << added.error();
    }
    // A huge page each at most, where 64 times 4 GiB were announced.
    EXPECT_LT(peak_kib() - before, std::size_t{64} * 2 * 2048);
}

TEST(HostilePartsOfAnySize, AnyPartsAreTakenOrRefused) {
    std::mt19937 random(20240611);  // NOLINT: fixed, so that a failure can be repeated
    const auto any = [&random](std::uint64_t below) {
        return std::uniform_int_distribution<std::uint64_t>(0, below)(random);
    };
    Assembly assembly({.body_bytes = 50, .message_bytes = 200, .frames = 5});
    for (int round = 0; round < 200'000; ++round) {
        const auto type = static_cast<std::uint16_t>(5 + any(1));
        if (any(9) == 0) {
            std::vector<wire::Frame> frames(any(6));
            (void)assembly.complete(type, frames);
            for (const auto& frame : frames) ASSERT_LE(frame.bytes.size(), 200U);
        } else {
            (void)assembly.add({type, any(6), any(60), any(1) * any(60), tensor_of(any(40))});
        }
    }
}

}  // namespace
}  // namespace rankexec
