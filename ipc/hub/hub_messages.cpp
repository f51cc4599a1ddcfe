// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/hub/hub_messages.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "rankexec/core/model/wiping.hpp"
#include "rankexec/ipc/pipe/pipe_codec.hpp"
#include "rankexec/ipc/wire/body.hpp"

namespace rankexec::hub {

/// The envelope as it travels.
struct PackedEnvelope {
    std::uint16_t version = 0;
    std::uint8_t type = 0;
    std::string peer;
    std::string id;
    std::string topic;
    std::int64_t number = 0;
};

}  // namespace rankexec::hub

template <>
struct rankexec::wire::Fields<rankexec::hub::PackedEnvelope> {
    static auto of(auto& it) {
        auto& [version, type, peer, id, topic, number] = it;
        return std::tie(version, type, peer, id, topic, number);
    }
};

namespace rankexec::hub {
namespace {

constexpr wire::Limits kEnvelopeLimits{.body_bytes = kEnvelopeBytes, .nodes = 64, .text_bytes = kPeerNameBytes};
/// Only a key in the memory of requests that are under way; the body's codec wants one.
constexpr const char* kNoId = "00000000000000000000000000000000";

bool has_request(MessageType type) { return type >= MessageType::request && type <= MessageType::tell; }

std::string envelope_error(const PackedEnvelope& packed) {
    if (packed.type < static_cast<std::uint8_t>(MessageType::hello) ||
        packed.type > static_cast<std::uint8_t>(MessageType::probe)) {
        return "the type " + std::to_string(packed.type) + " has no meaning";
    }
    const auto type = static_cast<MessageType>(packed.type);
    if (has_request(type) || type == MessageType::welcome) {
        if (auto error = peer_name_error(packed.peer); !error.empty()) return error;
    }
    const bool has_id = has_request(type) || type == MessageType::hello || type == MessageType::welcome;
    if (has_id && !pipe::is_id(packed.id)) return "an id that is not 32 hexadecimal digits";
    if (type == MessageType::request || type == MessageType::tell) {
        if (auto error = topic_error(packed.topic)) return *error;
    }
    if (type == MessageType::reply && !return_code_from(packed.number)) {
        return "the code " + std::to_string(packed.number) + " has no meaning";
    }
    if (packed.number < 0) return "a number below 0";
    return {};
}

/// A frame of which one part is no more than kPartBytes.
void cut(const wire::Frame& frame, std::vector<wire::Frame>& parts) {
    auto rest = frame.bytes;
    while (rest.size() >= kPartBytes) {
        parts.push_back({rest.first(kPartBytes), frame.owner});
        rest = rest.subspan(kPartBytes);
    }
    parts.push_back({rest, frame.owner});
}

/// The frame that these parts are cut from: one part as it is, more joined.
wire::Frame join(std::span<const wire::Frame> parts) {
    if (parts.size() == 1) return parts.front();
    // Aligned as every new is, for the elements of tensors.
    const std::shared_ptr<std::byte[]> buffer(new std::byte[wire::size_of(parts)]);
    auto* to = buffer.get();
    for (const auto& part : parts) to = std::ranges::copy(part.bytes, to).out;
    return {{buffer.get(), static_cast<std::size_t>(to - buffer.get())}, buffer};
}

tl::expected<std::vector<wire::Frame>, std::string> frames_of(const std::vector<wire::Frame>& parts,
                                                              const wire::Limits& limits) {
    if (wire::size_of(parts) > limits.message_bytes) {
        return tl::unexpected("larger than the limit of " + std::to_string(limits.message_bytes) + " bytes");
    }
    std::vector<wire::Frame> frames(1);  // the codec counts an envelope
    std::size_t begin = 0;
    for (std::size_t part = 0; part < parts.size(); ++part) {
        if (parts[part].bytes.size() > kPartBytes) return tl::unexpected<std::string>("a part above the limit");
        if (parts[part].bytes.size() == kPartBytes) continue;
        if (frames.size() == limits.frames) return tl::unexpected<std::string>("more frames than the limit");
        frames.push_back(join(std::span(parts).subspan(begin, part + 1 - begin)));
        begin = part + 1;
    }
    if (begin != parts.size()) return tl::unexpected<std::string>("a frame without its last part");
    return frames;
}

}  // namespace

std::string peer_name_error(const std::string& name) {
    if (name.empty()) return "a peer without a name";
    if (name.size() > kPeerNameBytes) return "a peer's name above " + std::to_string(kPeerNameBytes) + " bytes";
    const bool plain = std::ranges::all_of(name, [](char character) { return character > ' ' && character < '\x7f'; });
    return plain ? std::string() : "a peer's name with characters that none has";
}

wire::Frame encode_envelope(const Envelope& envelope) {
    const auto buffer = std::make_shared<WipedBuffer>(kEnvelopeBytes);
    wire::BodyWriter writer(*buffer, kEnvelopeLimits);
    const PackedEnvelope packed{kVersion,       static_cast<std::uint8_t>(envelope.type),
                                envelope.peer,  envelope.id,
                                envelope.topic, envelope.number};
    // Everything in it was checked to be short.
    if (!writer.write(packed)) throw std::logic_error("a hub's envelope: " + writer.error());
    return {{buffer->data(), buffer->size()}, buffer};
}

tl::expected<Envelope, BadEnvelope> decode_envelope(std::span<const std::byte> bytes) {
    const auto refused = [](const std::string& what, bool other_version = false) {
        return tl::unexpected(BadEnvelope{"a hub's envelope: " + what, other_version});
    };
    if (bytes.size() > kEnvelopeBytes) return refused("of " + std::to_string(bytes.size()) + " bytes");
    // The version is judged first: what follows it may differ in another one.
    wire::MsgpackReader version_reader(bytes, kEnvelopeLimits);
    wire::MsgpackReader::Token token;
    if (!version_reader.next(wire::MsgpackReader::Kind::array, token) ||
        !version_reader.next(wire::MsgpackReader::Kind::integer, token)) {
        return refused(version_reader.error());
    }
    if (token.integer != kVersion) {
        return refused("version " + std::to_string(token.integer) + ", this side speaks " + std::to_string(kVersion) +
                           "; install the same rankexec on both sides",
                       true);
    }
    PackedEnvelope packed;
    wire::BodyReader reader(bytes, {}, kEnvelopeLimits);
    if (!reader.read(packed) || !reader.finish()) return refused(reader.error());
    if (const auto error = envelope_error(packed); !error.empty()) return refused(error);
    return Envelope{static_cast<MessageType>(packed.type), std::move(packed.peer), std::move(packed.id),
                    std::move(packed.topic), packed.number};
}

tl::expected<Body, std::string> encode_body(const std::string& topic, const Shareable& content,
                                            const wire::Limits& limits) {
    auto encoded = pipe::encode({PipeMessage::Kind::request, topic, kNoId, {}, content}, limits);
    if (!encoded) return tl::unexpected(encoded.error());
    auto parts = std::make_shared<std::vector<wire::Frame>>();
    parts->reserve(encoded->frames.size());
    for (const auto& frame : encoded->frames) cut(frame, *parts);
    return parts;
}

tl::expected<Shareable, std::string> decode_body(const Body& body, const wire::Limits& limits) {
    if (!body) return tl::unexpected<std::string>("a message without content");
    try {
        const auto frames = frames_of(*body, limits);
        if (!frames) return tl::unexpected(frames.error());
        pipe::Envelope envelope;
        envelope.id = kNoId;
        envelope.topic = "message";
        auto message = pipe::decode_message(envelope, *frames, limits);
        if (!message) return tl::unexpected(message.error());
        return std::move(message->content);
    } catch (const std::bad_alloc&) {
        return tl::unexpected<std::string>("no memory left for it");
    }
}

std::size_t size_of(const Body& body) { return body ? wire::size_of(*body) : 0; }

RawReply no_reply(ReturnCode code, std::string message) {
    // Only text: well within every limit.
    auto body = encode_body("reply", Shareable::failed(code, std::move(message)), {});
    return {code, body ? std::move(*body) : nullptr};
}

}  // namespace rankexec::hub
