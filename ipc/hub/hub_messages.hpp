// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/shareable.hpp"
#include "rankexec/ipc/wire/codec.hpp"

/// What a hub and those that connect to it tell each other, as parts of a ZeroMQ message: an envelope, and the content
/// cut into parts. PROTOCOL.md in this folder is normative. All functions may be called from any thread.
namespace rankexec::hub {

inline constexpr std::uint16_t kVersion = 0;
/// The longest part. Small, so that a connection's heartbeats pass between the parts of a large message, and so that
/// nobody who has not proved who they are can announce more.
inline constexpr std::size_t kPartBytes = std::size_t{512} << 10U;
/// That encryption adds to each, at most.
inline constexpr std::size_t kCurveBytes = 256;
inline constexpr std::size_t kEnvelopeBytes = 512;
inline constexpr std::size_t kPeerNameBytes = 160;

enum class MessageType : std::uint8_t {
    hello = 1,    ///< to the hub: this connection belongs to this process
    welcome = 2,  ///< from the hub: that is known now; this is your name
    refused = 3,  ///< from the hub: it is not, and why
    request = 4,
    reply = 5,
    got = 6,  ///< the reply has come, forget it
    tell = 7,
    bye = 8,    ///< this end closes
    probe = 9,  ///< from the hub: nothing. Whether it can be sent tells whether the connection is there
};

/// Why a hello is refused: the number of such a message.
enum class Refusal : std::uint8_t {
    version = 1,   ///< the hub speaks another version
    unknown = 2,   ///< the key is not, or no longer, that of a peer
    occupied = 3,  ///< another process with the same key is connected; when it is gone, a welcome comes
};

/// The first part.
struct RANKEXEC_EXPORT Envelope {
    MessageType type = MessageType::probe;
    /// Of requests, replies, gots and tells: the party beyond the connection, as seen from who connects: whom it is to
    /// go to, or who it comes from. Of a welcome: the receiver's name. Empty otherwise.
    std::string peer;
    std::string id;     ///< of the request; of a hello or welcome: the sender's session; empty otherwise
    std::string topic;  ///< of requests and tells
    /// Of a request: milliseconds left. Of a reply: 0, or the ReturnCode of a failure to get one. Of a hello: which
    /// connection of the session it is, which the welcome repeats. Of a refusal: the Refusal.
    std::int64_t number = 0;
    friend bool operator==(const Envelope&, const Envelope&) = default;
};

/// One of those that say nothing but their type and a number.
[[nodiscard]] inline Envelope bare(MessageType type, std::int64_t number = 0) { return {type, {}, {}, {}, number}; }

/// The content of a message in parts, none above kPartBytes: of each frame as many full parts as it fills, then one
/// that is shorter. May be sent any number of times; shares the memory of tensors. nullptr: none.
using Body = std::shared_ptr<const std::vector<wire::Frame>>;

[[nodiscard]] RANKEXEC_EXPORT wire::Frame encode_envelope(const Envelope& envelope);
/// Total and bounded: any bytes give an envelope, or what is wrong with them.
struct BadEnvelope {
    std::string what;
    bool other_version = false;
};
[[nodiscard]] RANKEXEC_EXPORT tl::expected<Envelope, BadEnvelope> decode_envelope(std::span<const std::byte> bytes);

/// Fails with the limit that the content exceeds.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<Body, std::string> encode_body(const std::string& topic,
                                                                          const Shareable& content,
                                                                          const wire::Limits& limits);
/// Total and bounded. What came in one part is not copied.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<Shareable, std::string> decode_body(const Body& body,
                                                                               const wire::Limits& limits);
[[nodiscard]] RANKEXEC_EXPORT std::size_t size_of(const Body& body);

/// What is wrong with a text as a peer's name; empty: nothing.
[[nodiscard]] RANKEXEC_EXPORT std::string peer_name_error(const std::string& name);

/// A reply before it is read, or after it was written.
struct RawReply {
    ReturnCode code = ReturnCode::ok;  ///< not ok: there is none; the body is a Shareable with the failure
    Body body;
};
[[nodiscard]] RawReply no_reply(ReturnCode code, std::string message);

}  // namespace rankexec::hub
