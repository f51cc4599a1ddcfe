// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "allocation_meter.hpp"
#include "rankexec/ipc/wire/stream_framing.hpp"
#include "samples.hpp"

namespace rankexec::wire::test {
namespace {

void expect_error(std::string_view hex, std::string_view part_of_message) {
    SCOPED_TRACE(hex);
    StreamDecoder stream;
    {
        const AllocationMeter meter;
        stream.feed(from_hex(hex));
        EXPECT_LE(meter.peak(), 16U * 1024);
    }
    for (int times = 0; times < 2; ++times) {
        const auto next = stream.next();
        ASSERT_FALSE(next);
        EXPECT_EQ(next.error().kind, DecodeError::Kind::protocol);
        EXPECT_NE(next.error().message.find(part_of_message), std::string::npos) << next.error().message;
    }
}

TEST(StreamFraming, BytesAreAsInTheProtocol) {
    const std::vector frames{frame_of(from_hex("9600")), frame_of({}), frame_of(from_hex("ff"))};
    EXPECT_EQ(to_hex(frame_for_stream(frames)),
              "03000000"
              "02000000000000009600"
              "0000000000000000"
              "0100000000000000ff");
}

TEST(StreamFraming, PiecesAreTheSameBytes) {
    std::vector<std::vector<Frame>> messages{{frame_of(from_hex("9600")), frame_of({}), frame_of(from_hex("ff"))}};
    for (const auto& golden : goldens()) messages.push_back(frames_of(golden));
    for (const auto& frames : messages) {
        WipedBytes bytes;
        for (const auto& piece : pieces_for_stream(frames)) {
            EXPECT_FALSE(piece.bytes.empty());
            bytes.insert(bytes.end(), piece.bytes.begin(), piece.bytes.end());
        }
        EXPECT_EQ(to_hex(bytes), to_hex(frame_for_stream(frames)));
    }
}

TEST(StreamFraming, MessagesComeOutHoweverTheBytesArrive) {
    std::vector<std::byte> bytes;
    for (const auto& golden : goldens()) {
        const auto message = frame_for_stream(frames_of(golden));
        bytes.insert(bytes.end(), message.begin(), message.end());
    }
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, bytes.size()}) {
        StreamDecoder stream;
        std::size_t messages = 0;
        for (std::size_t at = 0; at < bytes.size(); at += step) {
            stream.feed(std::span(bytes).subspan(at, std::min(step, bytes.size() - at)));
            for (auto next = stream.next(); next && *next; next = stream.next()) {
                const auto decoded = decode(**next);
                ASSERT_TRUE(decoded) << decoded.error().message;
                ASSERT_LT(messages, goldens().size());
                EXPECT_TRUE(decoded->message == goldens()[messages].message);
                ++messages;
            }
        }
        EXPECT_EQ(messages, goldens().size());
        EXPECT_FALSE(stream.inside_message());
    }
}

TEST(StreamFraming, ACutMessageIsSeen) {
    const auto bytes = frame_for_stream(frames_of(goldens().front()));
    for (std::size_t size = 1; size < bytes.size(); ++size) {
        StreamDecoder stream;
        stream.feed(std::span(bytes).first(size));
        const auto next = stream.next();
        ASSERT_TRUE(next);
        EXPECT_FALSE(next->has_value());
        EXPECT_TRUE(stream.inside_message());
    }
}

TEST(StreamFraming, AbsurdNumbersAreRefusedWithoutMemory) {
    expect_error("00000000", "without frames");
    expect_error("ffffffff", "4294967295 frames");
    expect_error("03040000", "1027 frames");
    expect_error("020000000101000000000000", "frame 0 of 257 bytes");
    expect_error("0200000000000000000000000100000400000000", "frame 1 of 67108865 bytes");
    expect_error(
        "0300000000000000000000000000000000000000"
        "0000000002000000",
        "frame 2 of 8589934592 bytes");
    expect_error(
        "0300000000000000000000000000000000000000"
        "ffffffffffffffff",
        "frame 2 of 18446744073709551615");
}

TEST(StreamFraming, AClaimWithinTheLimitsTakesNoMemoryUntilTheBytesCome) {
    StreamDecoder stream;
    const AllocationMeter meter;
    // Two tensors of 1 GiB and 2 GiB, of which a few bytes arrive.
    stream.feed(
        from_hex("0400000000000000000000000000000000000000"
                 "0000004000000000"
                 "010203"));
    EXPECT_LE(meter.peak(), 16U * 1024);
    EXPECT_TRUE(stream.inside_message());
}

TEST(StreamFraming, MessagesBeforeAnErrorAreHandedOut) {
    auto bytes = frame_for_stream(frames_of(goldens().front()));
    bytes.resize(bytes.size() + 4, std::byte{0});
    StreamDecoder stream;
    stream.feed(bytes);
    const auto first = stream.next();
    ASSERT_TRUE(first);
    EXPECT_TRUE(first->has_value());
    EXPECT_FALSE(stream.next());
}

TEST(StreamFraming, EveryBitFlipGivesMessagesOrAnError) {
    for (const auto& golden : goldens()) {
        const auto whole = frame_for_stream(frames_of(golden));
        for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
            auto bytes = whole;
            bytes[bit / 8] ^= std::byte{1} << (bit % 8);
            StreamDecoder stream;
            stream.feed(bytes);
            for (auto next = stream.next(); next && *next; next = stream.next()) static_cast<void>(decode(**next));
        }
    }
}

}  // namespace
}  // namespace rankexec::wire::test
