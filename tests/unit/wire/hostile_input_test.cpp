// SPDX-License-Identifier: Apache-2.0
// Whatever bytes come: a message or an error, and never more memory than the bytes that came justify.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "allocation_meter.hpp"
#include "rankexec/ipc/wire/stream_framing.hpp"
#include "samples.hpp"

namespace rankexec::wire::test {
namespace {

/// What a decoded message may take: a value tree has nodes of some 60 bytes for elements of one byte
/// and map entries of some 150 for two, and error texts are small.
constexpr std::size_t kMemoryPerByte = 128;
constexpr std::size_t kMemoryBase = 16 * 1024;

/// Decodes; what is accepted must survive another round trip. Returns whether it was accepted.
bool decode_within_bounds(std::span<const Frame> frames) {
    tl::expected<Decoded, DecodeError> decoded = tl::unexpected(DecodeError{});
    {
        const AllocationMeter meter;
        decoded = decode(frames);
        EXPECT_LE(meter.peak(), size_of(frames) * kMemoryPerByte + kMemoryBase);
    }
    if (!decoded) {
        EXPECT_FALSE(decoded.error().message.empty());
        return false;
    }
    const auto encoded = encode(decoded->envelope, decoded->message);
    EXPECT_TRUE(encoded) << encoded.error();
    if (!encoded) return true;
    const auto again = decode(*encoded);
    EXPECT_TRUE(again) << again.error().message;
    EXPECT_TRUE(again && again->message == decoded->message) << to_hex((*encoded)[1].bytes);
    return true;
}

/// Envelope and body in one frame are told apart, and whatever else comes stays one.
void split_within_bounds(std::span<const std::byte> bytes) {
    const auto size = envelope_length(bytes);
    ASSERT_LE(size, bytes.size());
    EXPECT_LE(size, kEnvelopeBytes);
    EXPECT_EQ(envelope_length(bytes.first(size)), size);
}

std::vector<std::byte> repeated(std::string_view hex, std::size_t times) {
    const auto unit = from_hex(hex);
    std::vector<std::byte> out;
    for (; times > 0; --times) out.insert(out.end(), unit.begin(), unit.end());
    return out;
}

/// The body of an Execute whose input's value tree is `value`.
std::vector<std::byte> execute_body(std::span<const std::byte> value) {
    auto out = from_hex("9500a000809580");
    out.insert(out.end(), value.begin(), value.end());
    const auto rest = from_hex("8000c0");
    out.insert(out.end(), rest.begin(), rest.end());
    return out;
}

void expect_body_error(std::vector<std::byte> body, std::string_view part_of_message) {
    const auto frames = with_body(Execute{}, std::move(body));
    EXPECT_FALSE(decode_within_bounds(frames));
    const auto decoded = decode(frames);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().kind, DecodeError::Kind::body);
    EXPECT_NE(decoded.error().message.find(part_of_message), std::string::npos) << decoded.error().message;
}

void expect_value_error(std::string_view hex, std::string_view part_of_message) {
    SCOPED_TRACE(hex.substr(0, 60));
    expect_body_error(execute_body(from_hex(hex)), part_of_message);
}

TEST(HostileInput, EveryTruncationOfEveryFrameIsRefused) {
    for (const auto& golden : goldens()) {
        SCOPED_TRACE(name_of(golden.message));
        const auto whole = frames_of(golden);
        for (std::size_t index = 0; index < whole.size(); ++index) {
            for (std::size_t size = 0; size < whole[index].bytes.size(); ++size) {
                auto cut = whole;
                // A copy, so that a read past the end is seen by a memory checker.
                const auto bytes = whole[index].bytes.first(size);
                cut[index] = frame_of({bytes.begin(), bytes.end()});
                EXPECT_FALSE(decode_within_bounds(cut)) << "frame " << index << " cut to " << size;
            }
        }
    }
}

TEST(HostileInput, MissingAndSpareFramesAreRefused) {
    for (const auto& golden : goldens()) {
        SCOPED_TRACE(name_of(golden.message));
        auto frames = frames_of(golden);
        for (std::size_t count = 0; count < frames.size(); ++count) {
            EXPECT_FALSE(decode_within_bounds(std::span(frames).first(count))) << count << " frames";
        }
        frames.push_back(frame_of({}));
        EXPECT_FALSE(decode_within_bounds(frames));
    }
}

TEST(HostileInput, EverySingleBitFlipGivesAMessageOrAnError) {
    for (const auto& golden : goldens()) {
        SCOPED_TRACE(name_of(golden.message));
        const auto whole = frames_of(golden);
        for (std::size_t index = 0; index < whole.size(); ++index) {
            for (std::size_t bit = 0; bit < whole[index].bytes.size() * 8; ++bit) {
                std::vector<std::byte> bytes(whole[index].bytes.begin(), whole[index].bytes.end());
                bytes[bit / 8] ^= std::byte{1} << (bit % 8);
                auto flipped = whole;
                flipped[index] = frame_of(std::move(bytes));
                decode_within_bounds(flipped);
            }
        }
    }
}

TEST(HostileInput, EveryByteReplacedByEveryFormatByteGivesAMessageOrAnError) {
    for (const auto& golden : goldens()) {
        SCOPED_TRACE(name_of(golden.message));
        const auto body = from_hex(golden.body);
        for (std::size_t at = 0; at < body.size(); ++at) {
            for (const unsigned format : {0x00U, 0x80U, 0x8fU, 0x90U, 0x9fU, 0xa0U, 0xbfU, 0xc0U, 0xc1U, 0xc4U,
                                          0xc6U, 0xc7U, 0xcbU, 0xcfU, 0xd3U, 0xd4U, 0xdbU, 0xddU, 0xdfU, 0xffU}) {
                auto changed = frames_of(golden);
                auto bytes = body;
                bytes[at] = static_cast<std::byte>(format);
                changed[1] = frame_of(std::move(bytes));
                decode_within_bounds(changed);
            }
        }
    }
}

TEST(HostileInput, RandomBytesGiveAMessageOrAnError) {
    std::mt19937 random(20240611);  // NOLINT: fixed, so that a failure can be repeated
    std::uniform_int_distribution<unsigned> byte(0, 255);
    std::uniform_int_distribution<std::size_t> length(0, 300);
    for (int round = 0; round < 20'000; ++round) {
        std::vector<std::byte> body(length(random));
        for (auto& content : body) content = static_cast<std::byte>(byte(random));
        const auto type = static_cast<std::size_t>(round) % std::variant_size_v<Message> + 1;
        decode_within_bounds(std::vector{frame_of(golden_envelope_bytes(type)), frame_of(body)});
        EXPECT_FALSE(decode_within_bounds(std::vector{frame_of(body), frame_of({})}));
    }
}

TEST(HostileInput, AnEnvelopeIsToldFromTheBodyThatFollowsIt) {
    for (const auto& golden : goldens()) {
        SCOPED_TRACE(name_of(golden.message));
        const auto frames = frames_of(golden);
        std::vector<std::byte> joined(frames[0].bytes.begin(), frames[0].bytes.end());
        joined.insert(joined.end(), frames[1].bytes.begin(), frames[1].bytes.end());
        EXPECT_EQ(envelope_length(joined), frames[0].bytes.size());
        for (std::size_t size = 0; size < joined.size(); ++size) {
            // A copy, so that a read past the end is seen by a memory checker.
            split_within_bounds(std::vector(joined.begin(), joined.begin() + static_cast<std::ptrdiff_t>(size)));
        }
        for (std::size_t bit = 0; bit < joined.size() * 8; ++bit) {
            auto flipped = joined;
            flipped[bit / 8] ^= std::byte{1} << (bit % 8);
            split_within_bounds(flipped);
        }
    }
    EXPECT_EQ(envelope_length({}), 0U);
    EXPECT_EQ(envelope_length(repeated("91", 100'000)), 0U);
    // A text that goes on beyond where an envelope must end.
    auto long_text = from_hex("91d9fa");
    long_text.resize(1000, std::byte{'a'});
    EXPECT_EQ(envelope_length(long_text), 0U);
}

TEST(HostileInput, CountsBeyondTheBytesAreRefusedWithoutMemory) {
    for (const auto* hex : {"ddffffffff", "dfffffffff", "dcffff", "deffff", "9f", "8f"}) {
        expect_value_error(hex, "more elements are announced than bytes follow");
    }
    for (const auto* hex : {"dbffffffff", "c6ffffffff"}) expect_value_error(hex, "over the limit of");
    for (const auto* hex : {"db00ffffff", "c600ffffff", "d9ff", "c4ff", "bf"}) expect_value_error(hex, "ends early");
}

TEST(HostileInput, NestedClaimsOnTheSameBytesAreRefusedWithoutMemory) {
    // Sixty lists, each announcing as many elements as bytes follow: each claim alone is honest.
    const std::size_t kLevels = 60;
    const std::size_t kTotal = 100'000;
    std::vector<std::byte> value;
    for (std::size_t level = 0; level < kLevels; ++level) {
        const auto left = kTotal - (level + 1) * 5;
        value.push_back(std::byte{0xdd});
        for (unsigned shift = 32; shift > 0; shift -= 8) {
            value.push_back(static_cast<std::byte>((left >> (shift - 8)) & 0xffU));
        }
    }
    value.resize(kTotal, std::byte{0xc0});
    expect_body_error(execute_body(value), "more elements are announced than bytes follow");
}

TEST(HostileInput, DepthIsLimited) {
    const auto depth = Limits{}.depth;
    auto value = repeated("91", depth);
    value.push_back(std::byte{0xc0});
    EXPECT_TRUE(decode_within_bounds(with_body(Execute{}, execute_body(value))));
    for (const auto* level : {"91", "81a0"}) {
        for (const auto levels : {depth + 1, std::size_t{1'000'000}}) {
            value = repeated(level, levels);
            value.push_back(std::byte{0xc0});
            expect_body_error(execute_body(value), "nested more than 64 deep");
        }
    }
    // Where no value stands: instead of a struct, and in a field that is not known.
    expect_body_error(repeated("91", 1'000'000), "a struct of 1 fields");
    auto attach = from_hex("91");
    const auto bomb = repeated("91", 1'000'000);
    attach.insert(attach.end(), bomb.begin(), bomb.end());
    EXPECT_FALSE(decode_within_bounds(with_body(Attach{}, attach)));
}

TEST(HostileInput, WhatHasNoMeaningIsRefused) {
    expect_value_error("c1", "is not used in this protocol");
    expect_value_error("d40100", "is not used in this protocol");
    expect_value_error("c70100", "is not used in this protocol");
    expect_value_error("cf8000000000000000", "above 2^63 - 1");
    expect_value_error("82a16101a16102", "a name that the map already has");
    expect_value_error("8101c0", "expected text, found integer");
    expect_body_error(from_hex("9500a000809580c0800bc0"), "the number 11 has no meaning in its field");
    expect_body_error(from_hex("9500a000809580c080ffc0"), "the number -1 has no meaning in its field");
    expect_body_error(from_hex("95ffa0c2809580c08000c0"), "out of its field's range");
    expect_body_error(from_hex("9500a000809580c08000c0c0"), "1 bytes follow the end");
    expect_body_error(from_hex("9400a0c280"), "a struct of 4 fields, expected 5");
    expect_body_error({}, "ends early");
}

TEST(HostileInput, RemovedNamesThatRepeatAreRefused) {
    const auto decoded = decode(with_body(EventDone{}, from_hex("92059280"
                                                                "92a161a161")));
    ASSERT_FALSE(decoded);
    EXPECT_NE(decoded.error().message.find("a name that the list already has"), std::string::npos);
}

TEST(HostileInput, FieldsOfALaterMinorVersionArePassedOver) {
    const auto decoded = decode(with_body(RankOutputEnd{}, from_hex("9401a0"
                                                                    "82a16101a16293c0c0c0"
                                                                    "a178")));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(std::get<RankOutputEnd>(decoded->message).rank, 1);
}

TEST(HostileInput, FloatsAndLongFormsAreUnderstood) {
    const auto decoded = decode(with_body(Execute{}, execute_body(from_hex("93"
                                                                           "ca3f000000"
                                                                           "d30000000000000001"
                                                                           "db0000000161"))));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(std::get<Execute>(decoded->message).input.body, Value(Value::Array{0.5, 1, "a"}));
}

TEST(HostileInput, TensorsMustFitTheirFrames) {
    const auto with_tensor = [](std::string_view tensor, std::vector<std::byte> bytes) {
        auto body = from_hex("9500a000809580c081a174");
        const auto rest = from_hex(tensor);
        body.insert(body.end(), rest.begin(), rest.end());
        body.push_back(std::byte{0x00});
        body.push_back(std::byte{0xc0});
        auto frames = with_body(Execute{}, std::move(body));
        frames.push_back(frame_of(std::move(bytes)));
        return decode_within_bounds(frames);
    };
    const auto eight = repeated("01", 8);
    EXPECT_TRUE(with_tensor("930b910202", eight));    // float32, shape {2}, frame 2
    EXPECT_TRUE(with_tensor("940b910202c0", eight));  // and a later field
    EXPECT_FALSE(with_tensor("930b910302", eight));   // shape {3}
    EXPECT_FALSE(
        with_tensor("930b9102"
                    "03",
                    eight));                                             // frame 3
    EXPECT_FALSE(with_tensor("930b910201", eight));                      // the body itself
    EXPECT_FALSE(with_tensor("930b9102ff", eight));                      // frame -1
    EXPECT_FALSE(with_tensor("930d910202", eight));                      // no such element type
    EXPECT_FALSE(with_tensor("930b91fe02", eight));                      // extent -2
    EXPECT_FALSE(with_tensor("930b92fffe02", eight));                    // extents -1 and -2
    EXPECT_FALSE(with_tensor("930b93cf4000000000000000040802", eight));  // a product that overflows
    EXPECT_FALSE(
        with_tensor("930b93cf400000000000000004"
                    "0002",
                    {}));                                                                // also before a zero
    EXPECT_FALSE(with_tensor("930cdc0021" + to_hex(repeated("01", 33)) + "02", eight));  // 33 dimensions
    EXPECT_TRUE(with_tensor("9300910802", eight));                                       // boolean
    EXPECT_FALSE(with_tensor("9300910802", repeated("02", 8)));                          // neither true nor false
}

TEST(HostileInput, AFrameBelongsToOneTensor) {
    auto frames = with_body(Execute{}, from_hex("9500a000809580c0"
                                                "82a161930291"
                                                "0102"
                                                "a162930291"
                                                "0102"
                                                "00c0"));
    frames.push_back(frame_of(from_hex("01")));
    EXPECT_FALSE(decode_within_bounds(frames));
}

TEST(HostileInput, UnknownVersionOrTypeEndsTheSession) {
    const auto kind_of = [](std::vector<std::byte> envelope) {
        const auto decoded = decode(std::vector{frame_of(std::move(envelope)), frame_of(from_hex("90"))});
        EXPECT_FALSE(decoded);
        return decoded ? DecodeError::Kind::body : decoded.error().kind;
    };
    auto other_version = golden_envelope_bytes(7);
    other_version[1] = std::byte{1};
    EXPECT_EQ(kind_of(other_version), DecodeError::Kind::protocol);
    EXPECT_EQ(kind_of(golden_envelope_bytes(0)), DecodeError::Kind::protocol);
    EXPECT_EQ(kind_of(golden_envelope_bytes(std::variant_size_v<Message> + 1)), DecodeError::Kind::protocol);
    EXPECT_EQ(kind_of({}), DecodeError::Kind::protocol);
    EXPECT_EQ(kind_of(repeated("00", kEnvelopeBytes + 1)), DecodeError::Kind::protocol);
    // Another version's envelope may look different after its first element.
    const auto later = decode_envelope(from_hex("9301c0c0"));
    ASSERT_FALSE(later);
    EXPECT_NE(later.error().message.find("protocol version 1, this side speaks 0"), std::string::npos);
}

TEST(HostileInput, ABadBodyStillNamesItsCallWhereItCan) {
    const auto call_of = [](std::string_view body) {
        const auto decoded = decode(with_body(Execute{}, from_hex(body)));
        EXPECT_FALSE(decoded);
        return decoded ? std::nullopt : decoded.error().call;
    };
    EXPECT_EQ(call_of("9507c0"), std::nullopt);  // cut: nothing in it can be relied on
    EXPECT_EQ(call_of("9507c0c0c0c0"), 7U);
    EXPECT_EQ(call_of("95ffc0c0c0c0"), std::nullopt);
    EXPECT_EQ(call_of("c0"), std::nullopt);
}

TEST(HostileInput, ErrorsNeverRepeatThePeersBytes) {
    const auto decoded = decode(with_body(Execute{}, execute_body(from_hex("82a21b5b01a21b5b02"))));
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().message.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace rankexec::wire::test
