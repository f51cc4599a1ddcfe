// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/wire/codec.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// What one side still has to send to one peer on one channel. A message larger than wire::kPartBytes goes in parts, of
/// which so many are on the way that the peer can be kept busy, and no more: what overtakes waits for those alone, and
/// neither side's ZeroMQ holds more of it. PROTOCOL.md, section "Parts". One thread.
class RANKEXEC_EXPORT Outbox {
public:
    /// Gives a message its envelope and hands it to ZeroMQ. False: the peer is gone.
    using Send = std::function<bool(const wire::EncodedBody&)>;

    /// Whether a message of that size waits for others, or must go in parts. If not it may be sent past this.
    [[nodiscard]] bool must_take(std::uint16_t type, std::size_t bytes) const {
        return bytes > wire::kPartBytes || (!waiting_.empty() && !overtakes(type));
    }

    /// Sends the message, now or when its turn has come, and drops everything when the peer is gone.
    void push(wire::EncodedBody body, const Send& send);

    /// The peer has read so many bytes of parts.
    void taken(std::uint64_t bytes, const Send& send);

    /// What has not been sent of the tensors of a message of that type is left out: the peer gets it as one whose
    /// frames are missing. Whether there was any.
    bool cut(std::uint16_t type, const Send& send);

    /// Sends all that waits, however much is on the way. For a connection that is about to close.
    void flush(const Send& send);

    /// Drops what waits.
    void clear() { waiting_.clear(); }

    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }

    /// Whether messages of that type may be sent before others that are waiting.
    [[nodiscard]] static bool overtakes(std::uint16_t type);

private:
    struct Waiting {
        wire::EncodedBody body;
        std::vector<std::size_t> in_parts;  ///< which of body.frames go before the message
        std::size_t next = 0;               ///< of in_parts
        std::size_t offset = 0;             ///< in that frame
    };

    void send_on(const Send& send, std::uint64_t limit);
    [[nodiscard]] bool send_part(Waiting& message, const Send& send);

    std::deque<Waiting> waiting_;
    std::uint64_t on_the_way_ = 0;  ///< bytes of parts that the peer has not taken
};

}  // namespace rankexec
