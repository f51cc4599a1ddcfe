// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/pipe/pipe_codec.hpp"

#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>

#include "rankexec/core/model/printable.hpp"
#include "rankexec/ipc/wire/body.hpp"

namespace rankexec::pipe {

/// The envelope as it travels.
struct PackedEnvelope {
    std::uint16_t version = 0;
    std::uint8_t type = 0;
    std::string session;
    std::string id;
    std::uint8_t kind = 0;
    std::string topic;
    std::string request_id;
};

}  // namespace rankexec::pipe

template <>
struct rankexec::wire::Fields<rankexec::pipe::PackedEnvelope> {
    static auto of(auto& it) {
        auto& [version, type, session, id, kind, topic, request_id] = it;
        return std::tie(version, type, session, id, kind, topic, request_id);
    }
};

namespace rankexec::pipe {
namespace {

constexpr wire::Limits kEnvelopeLimits{.body_bytes = wire::kEnvelopeBytes, .nodes = 64, .text_bytes = kTopicBytes};
constexpr std::size_t kUsualBytes = 1024;

wire::Frame frame_of(const std::shared_ptr<WipedBuffer>& buffer) { return {{buffer->data(), buffer->size()}, buffer}; }

wire::Frame encode_envelope(const PackedEnvelope& envelope) {
    const auto buffer = std::make_shared<WipedBuffer>(wire::kEnvelopeBytes);
    wire::BodyWriter writer(*buffer, kEnvelopeLimits);
    // Everything in it was checked to be short.
    if (!writer.write(envelope)) throw std::logic_error("a pipe's envelope: " + writer.error());
    return frame_of(buffer);
}

/// The limit that the frames from the body on exceed.
std::optional<std::string> over_limit(std::span<const wire::Frame> frames, const wire::Limits& limits) {
    if (frames.size() + 1 > limits.frames) {
        return std::to_string(frames.size() + 1) + " frames, over the limit of " + std::to_string(limits.frames);
    }
    if (!frames.empty() && frames[0].bytes.size() > limits.body_bytes) {
        return "a body of " + std::to_string(frames[0].bytes.size()) + " bytes, over the limit of " +
               std::to_string(limits.body_bytes);
    }
    std::size_t left = limits.message_bytes;
    for (const auto& frame : frames) {
        if (frame.bytes.size() > left) {
            return "larger than the limit of " + std::to_string(limits.message_bytes) + " bytes";
        }
        left -= frame.bytes.size();
    }
    return std::nullopt;
}

/// What is wrong with the names of a message, on whichever side.
std::optional<std::string> names_error(PipeMessage::Kind kind, const std::string& topic, const std::string& id,
                                       const std::string& request_id) {
    if (auto error = topic_error(topic)) return error;
    if (topic == kPeerGoneTopic) return "the topic " + topic + ", which is never sent";
    if (!is_id(id)) return "an id that is not 32 hexadecimal digits";
    const bool reply = kind == PipeMessage::Kind::reply;
    if (reply && is_reserved_topic(topic)) return "a reply on the reserved topic " + topic;
    if (reply && !is_id(request_id)) return "a reply that names no request";
    if (!reply && !request_id.empty()) return "a request that names a request";
    return std::nullopt;
}

std::optional<std::string> envelope_error(const PackedEnvelope& packed) {
    if (packed.type < static_cast<std::uint8_t>(FrameType::message) ||
        packed.type > static_cast<std::uint8_t>(FrameType::bye)) {
        return "the type " + std::to_string(packed.type) + " has no meaning";
    }
    if (packed.kind > static_cast<std::uint8_t>(PipeMessage::Kind::reply)) {
        return "the kind " + std::to_string(packed.kind) + " has no meaning";
    }
    if (!is_id(packed.session)) return "a session that is not 32 hexadecimal digits";
    const auto type = static_cast<FrameType>(packed.type);
    if (type == FrameType::message) {
        return names_error(static_cast<PipeMessage::Kind>(packed.kind), packed.topic, packed.id, packed.request_id);
    }
    if (type == FrameType::taken && !is_id(packed.id)) return "an id that is not 32 hexadecimal digits";
    return std::nullopt;
}

tl::expected<Envelope, std::string> read_envelope(std::span<const std::byte> bytes) {
    const auto refused = [](const std::string& what) { return tl::unexpected("a pipe's envelope: " + what); };
    if (bytes.size() > wire::kEnvelopeBytes) return refused("of " + std::to_string(bytes.size()) + " bytes");
    // The version is judged first: what follows it may differ in another one.
    wire::MsgpackReader version_reader(bytes, kEnvelopeLimits);
    wire::MsgpackReader::Token token;
    if (!version_reader.next(wire::MsgpackReader::Kind::array, token) ||
        !version_reader.next(wire::MsgpackReader::Kind::integer, token)) {
        return refused(version_reader.error());
    }
    if (token.integer != kVersion) {
        return refused("version " + std::to_string(token.integer) + ", this side speaks " + std::to_string(kVersion) +
                       "; install the same rankexec on both sides");
    }
    PackedEnvelope packed;
    wire::BodyReader reader(bytes, {}, kEnvelopeLimits);
    if (!reader.read(packed) || !reader.finish()) return refused(reader.error());
    if (const auto error = envelope_error(packed)) return refused(*error);
    return Envelope{packed.version,
                    static_cast<FrameType>(packed.type),
                    std::move(packed.session),
                    std::move(packed.id),
                    static_cast<PipeMessage::Kind>(packed.kind),
                    std::move(packed.topic),
                    std::move(packed.request_id)};
}

}  // namespace

bool is_id(std::string_view text) noexcept {
    return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

tl::expected<EncodedMessage, std::string> encode(const PipeMessage& message, const wire::Limits& limits) {
    const auto refused = [&](const std::string& what) {
        return tl::unexpected("a message on topic \"" + printable(message.topic, kTopicBytes) + "\": " + what);
    };
    if (const auto error = names_error(message.kind, message.topic, message.id, message.request_id)) {
        return refused(*error);
    }
    const auto buffer = std::make_shared<WipedBuffer>(kUsualBytes);
    wire::BodyWriter writer(*buffer, limits);
    if (!writer.write(message.content)) return refused(writer.error());
    EncodedMessage result{message.kind, message.topic, message.id, message.request_id, {frame_of(buffer)}};
    for (auto& frame : writer.tensor_frames()) result.frames.push_back(std::move(frame));
    if (const auto excess = over_limit(result.frames, limits)) return refused(*excess);
    return result;
}

std::vector<wire::Frame> to_frames(const std::string& session, const EncodedMessage& message) {
    std::vector<wire::Frame> frames;
    frames.reserve(1 + message.frames.size());
    frames.push_back(encode_envelope({kVersion, static_cast<std::uint8_t>(FrameType::message), session, message.id,
                                      static_cast<std::uint8_t>(message.kind), message.topic, message.request_id}));
    frames.insert(frames.end(), message.frames.begin(), message.frames.end());
    return frames;
}

std::vector<wire::Frame> to_frames(const std::string& session, FrameType type, const std::string& id) {
    return {encode_envelope({kVersion, static_cast<std::uint8_t>(type), session, id, 0, {}, {}})};
}

tl::expected<Envelope, std::string> decode_envelope(std::span<const wire::Frame> frames) {
    if (frames.empty()) return tl::unexpected<std::string>("a message without frames");
    return read_envelope(frames[0].bytes);
}

tl::expected<PipeMessage, std::string> decode_message(const Envelope& envelope, std::span<const wire::Frame> frames,
                                                      const wire::Limits& limits) {
    const auto refused = [&](const std::string& what) {
        return tl::unexpected("a message on topic \"" + envelope.topic + "\": " + what);
    };
    if (envelope.type != FrameType::message) return tl::unexpected<std::string>("no message, by its envelope");
    if (frames.size() < 2) return refused("without a body");
    if (const auto excess = over_limit(frames.subspan(1), limits)) return refused(*excess);
    try {
        PipeMessage message{envelope.kind, envelope.topic, envelope.id, envelope.request_id, {}, envelope.session};
        wire::BodyReader reader(frames[1].bytes, frames, limits);
        if (!reader.read(message.content) || !reader.finish()) return refused(reader.error());
        return message;
    } catch (const std::bad_alloc&) {
        return refused("no memory left for it");
    }
}

}  // namespace rankexec::pipe
