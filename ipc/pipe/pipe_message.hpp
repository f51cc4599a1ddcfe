// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/shareable.hpp"

namespace rankexec {

/// Reserved topics: those of the pipe itself, which no user's message may have.
inline constexpr std::string_view kAbortTopic = "_ABORT_";          ///< the peer gives up what it was doing
inline constexpr std::string_view kEndTopic = "_END_";              ///< the peer has done all it was to do
inline constexpr std::string_view kHeartbeatTopic = "_HEARTBEAT_";  ///< the peer lives
inline constexpr std::string_view kPeerGoneTopic = "_PEER_GONE_";   ///< said by our own side only, never sent
inline constexpr std::size_t kTopicBytes = 64;                      ///< the longest topic

/// What two programs tell each other over a Pipe: a request, or the reply to one, on a topic.
///
/// A value type, as Shareable is: distinct messages may be used from distinct threads.
struct RANKEXEC_EXPORT PipeMessage {
    enum class Kind : std::uint8_t { request = 0, reply = 1 };

    Kind kind = Kind::request;
    std::string topic;       ///< [A-Za-z0-9_]+, at most kTopicBytes
    std::string id;          ///< unique: 32 hexadecimal digits
    std::string request_id;  ///< of a reply: the id of its request; empty otherwise
    Shareable content;
    std::string session{};  ///< of one that was received: the pipe that has sent it (Envelope); no part of what it says

    /// With a fresh id. Throws std::invalid_argument when the topic is none, or reserved.
    [[nodiscard]] static PipeMessage request(std::string topic, Shareable content);
    /// With a fresh id, and the topic of `request`. Throws std::invalid_argument when that is none, or reserved: no
    /// reserved topic has a reply.
    [[nodiscard]] static PipeMessage reply_to(const PipeMessage& request, Shareable content);
    [[nodiscard]] static PipeMessage abort(std::string reason);
    [[nodiscard]] static PipeMessage end(std::string reason);
    [[nodiscard]] static PipeMessage heartbeat();
    [[nodiscard]] static PipeMessage peer_gone(std::string reason);

    /// Abort, end or peer gone: the last that a reader hears.
    [[nodiscard]] bool is_status() const noexcept;
    [[nodiscard]] bool is_heartbeat() const noexcept { return topic == kHeartbeatTopic; }
    /// What abort(), end() or peer_gone() was made with; empty for other messages.
    [[nodiscard]] std::string reason() const;

    /// Whether they say the same, whoever has sent them.
    friend bool operator==(const PipeMessage& a, const PipeMessage& b) {
        return a.kind == b.kind && a.topic == b.topic && a.id == b.id && a.request_id == b.request_id &&
               a.content == b.content;
    }
};

/// Whether it is one of the four above.
[[nodiscard]] RANKEXEC_EXPORT bool is_reserved_topic(std::string_view topic) noexcept;
/// What is wrong with a text as a topic, reserved or not; nothing when it is one.
[[nodiscard]] RANKEXEC_EXPORT std::optional<std::string> topic_error(std::string_view topic);

}  // namespace rankexec
