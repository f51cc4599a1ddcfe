// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/wire/codec.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <new>
#include <optional>
#include <utility>

#include "rankexec/ipc/wire/body.hpp"

namespace rankexec::wire {
namespace {

// Tensors travel as they lie in memory.
static_assert(std::endian::native == std::endian::little, "the wire protocol is little-endian");

constexpr auto kMessageTypes = std::variant_size_v<Message>;
/// An envelope is a handful of small fields; the run id is its only text.
constexpr Limits kEnvelopeLimits{.body_bytes = kEnvelopeBytes, .nodes = 64, .text_bytes = 64};

/// Envelope and body of a task with a hundred headers and properties.
constexpr std::size_t kUsualBytes = 4096;

std::span<const std::byte> written(const WipedBuffer& buffer) { return {buffer.data(), buffer.size()}; }

using Bodies = std::make_index_sequence<kMessageTypes>;

template <std::size_t Index>
using MessageAt = std::variant_alternative_t<Index, Message>;

template <std::size_t... Index>
constexpr std::array<std::string_view, kMessageTypes> names(std::index_sequence<Index...>) {
    return {Fields<MessageAt<Index>>::kName...};
}
constexpr auto kNames = names(Bodies{});

using ReadBody = bool (*)(BodyReader&, Message&);

template <std::size_t... Index>
constexpr std::array<ReadBody, kMessageTypes> readers(std::index_sequence<Index...>) {
    return {[](BodyReader& reader, Message& message) { return reader.read(message.emplace<Index>()); }...};
}
constexpr auto kReaders = readers(Bodies{});

/// The limit on the whole message that `frames` exceed; nothing when they are within. Without its envelope,
/// room for one is left.
std::optional<std::string> over_limit(std::span<const Frame> frames, const Limits& limits, bool has_envelope = true) {
    const auto count = frames.size() + (has_envelope ? 0 : 1);
    if (count > limits.frames) {
        return std::to_string(count) + " frames, over the limit of " + std::to_string(limits.frames);
    }
    std::size_t total = has_envelope ? 0 : std::min(kEnvelopeBytes, limits.message_bytes);
    for (const auto& frame : frames) {
        if (frame.bytes.size() > limits.message_bytes - total) {
            return "larger than the limit of " + std::to_string(limits.message_bytes) + " bytes";
        }
        total += frame.bytes.size();
    }
    return std::nullopt;
}

DecodeError protocol_error(std::string message) {
    return {DecodeError::Kind::protocol, std::move(message), std::nullopt};
}

std::optional<std::uint64_t> first_number(std::span<const std::byte> body) {
    MsgpackReader reader(body, kEnvelopeLimits);
    MsgpackReader::Token token;
    if (!reader.next(MsgpackReader::Kind::array, token) || !reader.next(MsgpackReader::Kind::integer, token)) {
        return std::nullopt;
    }
    if (token.integer < 0) return std::nullopt;
    return static_cast<std::uint64_t>(token.integer);
}

DecodeError body_error(const Envelope& envelope, std::span<const Frame> frames, const std::string& what) {
    return {DecodeError::Kind::body, std::string(kNames[envelope.type - 1U]) + ": " + what,
            frames.size() > 1 ? first_number(frames[1].bytes) : std::nullopt};
}

tl::expected<Decoded, DecodeError> decode_body(Envelope envelope, std::span<const Frame> frames, const Limits& limits) {
    const auto refused = [&](const std::string& what) { return tl::unexpected(body_error(envelope, frames, what)); };
    if (const auto excess = over_limit(frames, limits)) return refused(*excess);
    if (frames.size() < 2) return refused("without a body");
    const auto body = frames[1].bytes;
    if (body.size() > limits.body_bytes) {
        return refused("a body of " + std::to_string(body.size()) + " bytes, over the limit of " +
                       std::to_string(limits.body_bytes));
    }
    BodyReader reader(body, frames, limits);
    Message message;
    if (!kReaders[envelope.type - 1U](reader, message) || !reader.finish()) return refused(reader.error());
    return Decoded{std::move(envelope), std::move(message)};
}

}  // namespace

tl::expected<EncodedBody, std::string> encode_body(const Message& message, const Limits& limits) {
    const auto refused = [&](const std::string& what) {
        return tl::unexpected(std::string(name_of(message)) + ": " + what);
    };
    const auto buffer = std::make_shared<WipedBuffer>(kUsualBytes);
    BodyWriter writer(*buffer, limits);
    if (!std::visit([&](const auto& body) { return writer.write(body); }, message)) return refused(writer.error());

    EncodedBody result;
    result.type = static_cast<std::uint16_t>(message.index() + 1);
    result.frames.reserve(1 + writer.tensor_frames().size());
    result.frames.push_back({written(*buffer), buffer});
    for (auto& frame : writer.tensor_frames()) result.frames.push_back(std::move(frame));
    if (const auto excess = over_limit(result.frames, limits, false)) return refused(*excess);
    return result;
}

tl::expected<std::vector<Frame>, std::string> with_envelope(Envelope envelope, const EncodedBody& body) {
    envelope.version = kVersion;
    envelope.type = body.type;
    const auto buffer = std::make_shared<WipedBuffer>(kEnvelopeBytes);
    BodyWriter writer(*buffer, kEnvelopeLimits);
    if (!writer.write(envelope)) return tl::unexpected("envelope: " + writer.error());
    std::vector<Frame> frames;
    frames.reserve(1 + body.frames.size());
    frames.push_back({written(*buffer), buffer});
    frames.insert(frames.end(), body.frames.begin(), body.frames.end());
    return frames;
}

tl::expected<std::vector<Frame>, std::string> encode(Envelope envelope, const Message& message, const Limits& limits) {
    envelope.version = kVersion;
    envelope.type = static_cast<std::uint16_t>(message.index() + 1);
    const auto refused = [&](const std::string& what) {
        return tl::unexpected(std::string(name_of(message)) + ": " + what);
    };

    const auto buffer = std::make_shared<WipedBuffer>(kUsualBytes);
    BodyWriter envelope_writer(*buffer, kEnvelopeLimits);
    if (!envelope_writer.write(envelope)) return refused("envelope: " + envelope_writer.error());
    const auto envelope_size = buffer->size();
    BodyWriter writer(*buffer, limits);
    if (!std::visit([&](const auto& body) { return writer.write(body); }, message)) return refused(writer.error());

    const auto bytes = written(*buffer);
    std::vector<Frame> frames;
    frames.reserve(2 + writer.tensor_frames().size());
    frames.push_back({bytes.first(envelope_size), buffer});
    frames.push_back({bytes.subspan(envelope_size), buffer});
    for (auto& frame : writer.tensor_frames()) frames.push_back(std::move(frame));
    if (const auto excess = over_limit(frames, limits)) return refused(*excess);
    return frames;
}

tl::expected<Envelope, DecodeError> decode_envelope(std::span<const std::byte> frame) {
    if (frame.size() > kEnvelopeLimits.body_bytes) {
        return tl::unexpected(protocol_error("an envelope of " + std::to_string(frame.size()) + " bytes"));
    }
    // The version comes first and is judged first: what follows it may differ in another version.
    MsgpackReader version_reader(frame, kEnvelopeLimits);
    MsgpackReader::Token token;
    if (!version_reader.next(MsgpackReader::Kind::array, token) ||
        !version_reader.next(MsgpackReader::Kind::integer, token)) {
        return tl::unexpected(protocol_error("envelope: " + version_reader.error()));
    }
    if (token.integer != kVersion) {
        return tl::unexpected(protocol_error("protocol version " + std::to_string(token.integer) +
                                             ", this side speaks " + std::to_string(kVersion) +
                                             "; install the same rankexec on all hosts"));
    }
    Envelope envelope;
    BodyReader reader(frame, {}, kEnvelopeLimits);
    if (!reader.read(envelope) || !reader.finish()) {
        return tl::unexpected(protocol_error("envelope: " + reader.error()));
    }
    if (envelope.type == 0 || envelope.type > kMessageTypes) {
        return tl::unexpected(protocol_error("unknown message type " + std::to_string(envelope.type)));
    }
    return envelope;
}

std::size_t envelope_length(std::span<const std::byte> bytes) {
    MsgpackReader reader(bytes.first(std::min(bytes.size(), kEnvelopeBytes)), kEnvelopeLimits);
    MsgpackReader::Token token;
    if (!reader.next(MsgpackReader::Kind::array, token)) return 0;
    for (std::size_t field = 0; field < token.count; ++field) {
        if (!reader.skip()) return 0;
    }
    return reader.position();
}

tl::expected<Decoded, DecodeError> decode(std::span<const Frame> frames, const Limits& limits) {
    try {
        if (frames.empty()) return tl::unexpected(protocol_error("a message without frames"));
        auto envelope = decode_envelope(frames[0].bytes);
        if (!envelope) return tl::unexpected(std::move(envelope.error()));
        return decode_body(std::move(*envelope), frames, limits);
    } catch (const std::bad_alloc&) {
        return tl::unexpected(DecodeError{DecodeError::Kind::body, "no memory left for the message", std::nullopt});
    }
}

std::string_view name_of(const Message& message) { return kNames[message.index()]; }

}  // namespace rankexec::wire
