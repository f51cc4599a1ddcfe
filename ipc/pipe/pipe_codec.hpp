// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/pipe/pipe_message.hpp"
#include "rankexec/ipc/wire/codec.hpp"

/// Messages of a pipe as frames and back: envelope, body, one frame per tensor. PROTOCOL.md in this folder is
/// normative. All functions may be called from any thread.
namespace rankexec::pipe {

inline constexpr std::uint16_t kVersion = 0;

/// What a peer says. On a file pipe only messages.
enum class FrameType : std::uint8_t {
    message = 1,  ///< with a body
    hello = 2,    ///< this is my session, on this connection
    taken = 3,    ///< your message of that id is queued here
    room = 4,     ///< what was not queued for want of room may come again
    refused = 5,  ///< this pipe has another peer
    bye = 6,      ///< I close; answered with the same
};

/// The first frame.
struct Envelope {
    std::uint16_t version = kVersion;
    FrameType type = FrameType::message;
    std::string session;  ///< of the pipe that sends, 32 hexadecimal digits; the same as long as it is open
    std::string id;       ///< of the message: sent, or taken; empty for others
    PipeMessage::Kind kind = PipeMessage::Kind::request;
    std::string topic;       ///< of messages only
    std::string request_id;  ///< of replies only
    friend bool operator==(const Envelope&, const Envelope&) = default;
};

/// Body and tensors, encoded once, however often they are sent. The frames share the tensors' memory.
struct EncodedMessage {
    PipeMessage::Kind kind = PipeMessage::Kind::request;
    std::string topic;
    std::string id;
    std::string request_id;
    std::vector<wire::Frame> frames;
};

/// Fails with the limit that the message exceeds, or with what makes it none (its topic, its ids).
[[nodiscard]] RANKEXEC_EXPORT tl::expected<EncodedMessage, std::string> encode(const PipeMessage& message,
                                                                               const wire::Limits& limits = {});
/// All frames of a message, from that session.
[[nodiscard]] RANKEXEC_EXPORT std::vector<wire::Frame> to_frames(const std::string& session,
                                                                 const EncodedMessage& message);
/// The one frame of everything that is no message.
[[nodiscard]] RANKEXEC_EXPORT std::vector<wire::Frame> to_frames(const std::string& session, FrameType type,
                                                                 const std::string& id = {});

/// Total and bounded: any bytes give an envelope, or what is wrong with them.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<Envelope, std::string> decode_envelope(std::span<const wire::Frame> frames);
/// The same for a message, whose envelope has been read. Its tensors share the frames' memory.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<PipeMessage, std::string> decode_message(const Envelope& envelope,
                                                                                    std::span<const wire::Frame> frames,
                                                                                    const wire::Limits& limits = {});

/// Whether a text is 32 hexadecimal digits, as ids and sessions are.
[[nodiscard]] RANKEXEC_EXPORT bool is_id(std::string_view text) noexcept;

}  // namespace rankexec::pipe
