// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/wire/limits.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec::wire {

/// Contiguous bytes with an owner: one frame of a message. Copies share the bytes.
struct Frame {
    std::span<const std::byte> bytes;
    std::shared_ptr<const void> owner;
};

[[nodiscard]] inline std::size_t size_of(std::span<const Frame> frames) {
    std::size_t size = 0;
    for (const auto& frame : frames) size += frame.bytes.size();
    return size;
}

/// Why bytes are not a message.
struct DecodeError {
    enum class Kind {
        body,      ///< this message is bad: its call fails, the session goes on
        protocol,  ///< version, type or envelope is unknown or unreadable: the session ends
    };
    Kind kind = Kind::body;
    std::string message;
    /// Of a bad body: its first field when that is a number and could be read. In the messages that
    /// ask for or give an answer this is the task's or event's number, so that the call can be failed.
    std::optional<std::uint64_t> call;
};

/// Envelope and body as msgpack, then one frame per tensor, which refers to the tensor's own memory.
/// `envelope.version` and `envelope.type` are filled in. Fails with the limit that the message
/// exceeds; nothing larger than a limit is ever allocated.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::vector<Frame>, std::string> encode(Envelope envelope,
                                                                                   const Message& message,
                                                                                   const Limits& limits = {});

/// The same in two steps, for a message that goes to several receivers: its body and tensors are encoded
/// once, and each copy shares them.
struct EncodedBody {
    std::uint16_t type = 0;
    std::vector<Frame> frames;  ///< as encode() gives them, but for the first
};
[[nodiscard]] RANKEXEC_EXPORT tl::expected<EncodedBody, std::string> encode_body(const Message& message,
                                                                                 const Limits& limits = {});
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::vector<Frame>, std::string> with_envelope(Envelope envelope,
                                                                                          const EncodedBody& body);

struct Decoded {
    Envelope envelope;
    Message message;
};

/// The envelope alone: enough to drop a stale or foreign message before its body is read.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<Envelope, DecodeError> decode_envelope(std::span<const std::byte> frame);

/// How many of these bytes are the envelope with which they begin, when a body follows it in the same frame; 0 when
/// they do not begin with one.
[[nodiscard]] RANKEXEC_EXPORT std::size_t envelope_length(std::span<const std::byte> bytes);

/// Total and bounded: any bytes give a message or an error, within the limits, without undefined
/// behaviour. Tensors refer to their frames' memory and share its owner.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<Decoded, DecodeError> decode(std::span<const Frame> frames,
                                                                        const Limits& limits = {});

/// A message's name in logs: "Execute".
[[nodiscard]] RANKEXEC_EXPORT std::string_view name_of(const Message& message);

}  // namespace rankexec::wire
