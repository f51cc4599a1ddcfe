// SPDX-License-Identifier: Apache-2.0
// Fuzz target of the wire codec. An input is a byte stream as PROTOCOL.md's section "Streams" frames it;
// whatever it holds is decoded, and what is accepted must survive another round trip; parts of messages are put
// together.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "rankexec/ipc/channel/assembly.hpp"
#include "rankexec/ipc/wire/codec.hpp"
#include "rankexec/ipc/wire/stream_framing.hpp"

namespace {

using namespace rankexec::wire;

/// Not assert(), which a release build leaves out.
void require(bool holds) {
    if (!holds) std::abort();
}

void check(std::span<const Frame> frames) {
    const auto decoded = decode(frames);
    if (!decoded) {
        require(!decoded.error().message.empty());
        return;
    }
    require(!name_of(decoded->message).empty());
    const auto encoded = encode(decoded->envelope, decoded->message);
    require(encoded.has_value());
    const auto again = decode(*encoded);
    require(again.has_value());
    require(again->envelope == decoded->envelope);
    require(again->message == decoded->message);
    // What this side writes is in its one deterministic form.
    const auto encoded_again = encode(again->envelope, again->message);
    require(encoded_again.has_value());
    require(frame_for_stream(*encoded_again) == frame_for_stream(*encoded));
}

/// As a channel receives.
void put_together(rankexec::Assembly& assembly, std::vector<Frame> frames) {
    const auto envelope = frames.empty() ? tl::unexpected(DecodeError{}) : decode_envelope(frames[0].bytes);
    if (!envelope) return;
    if (!assembly.complete(envelope->type, frames)) return;
    const auto decoded = decode(frames);
    const auto* const part = decoded ? std::get_if<MessagePart>(&decoded->message) : nullptr;
    if (part == nullptr) return check(frames);
    if (const auto added = assembly.add(*part); !added) require(!added.error().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    // In two parts, so that the stream decoder stands in the middle of something.
    StreamDecoder stream;
    rankexec::Assembly assembly({.body_bytes = std::size_t{64} << 10U, .message_bytes = std::size_t{1} << 20U});
    require(envelope_length(bytes) <= size);
    stream.feed(bytes.first(size / 2));
    stream.feed(bytes.subspan(size / 2));
    for (auto next = stream.next(); next && *next; next = stream.next()) {
        check(**next);
        put_together(assembly, **next);
    }
    return 0;
}
