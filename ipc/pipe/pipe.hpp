// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/signal.hpp"
#include "rankexec/ipc/pipe/pipe_codec.hpp"
#include "rankexec/ipc/pipe/pipe_message.hpp"

namespace rankexec {

/// The two ends of a pipe do the same; they differ in who makes what they share. The passive end makes it and removes
/// it; the active end finds it.
enum class PipeMode : std::uint8_t { passive, active };

/// Why a message was not sent, or none received.
struct PipeError {
    enum class Kind {
        not_taken,    ///< the peer has not taken the message in time
        not_sent,     ///< this end could not put it there: no room, ...; the pipe goes on
        cancelled,    ///< the caller's signal was triggered
        bad_message,  ///< what was to be sent, or has come, is no message; the pipe goes on
        broken,       ///< the peer has closed the pipe, or what both share is gone
        closed,       ///< this end was closed, or never opened
    };
    Kind kind = Kind::broken;
    std::string message;  ///< what, where, what to do
};

/// Between two steps of sending and receiving. For tests, which end a process there.
enum class PipeStep {
    encoded,    ///< sending: nobody else has seen anything yet
    written,    ///< sending: the bytes have left this program, but no reader looks at them (files)
    published,  ///< sending: the peer may take it
    confirmed,  ///< sending: the peer has taken it
    arrived,    ///< receiving: it is there
    claimed,    ///< receiving: it is ours; the sender may hear of it from now on
    read,       ///< receiving: it was read
    removed,    ///< receiving: nothing is left of it outside of this program
};
using OnPipeStep = std::function<void(PipeStep)>;

/// Exactly two programs exchange messages: what one end sends the other receives, in order.
///
/// Threads: send(), close() and can_resend() from any, any number at a time. open(), clear() and receive() from one
/// thread at a time; clear() not while another receives. No call waits longer than its time-out, and close() ends the
/// waits of all others.
/// Errors: expected ones are values; constructors throw ConfigurationError for options that cannot work.
class RANKEXEC_EXPORT Pipe {
public:
    using Milliseconds = std::chrono::milliseconds;
    using Result = tl::expected<void, PipeError>;
    using Received = tl::expected<std::optional<PipeMessage>, PipeError>;

    virtual ~Pipe() = default;

    /// Makes or finds what both ends share, within `timeout`. Once. Fails with a Failure that says what is missing, and
    /// then leaves nothing behind. The peer need not be there.
    [[nodiscard]] virtual tl::expected<void, Failure> open(Milliseconds timeout) = 0;

    /// Final: this end cannot be opened again. Ends all waits, tells the peer as far as the form can, bounded. The
    /// passive end removes what is shared. Idempotent.
    virtual void close() = 0;

    /// Throws away what has come and was not received, and what was sent and not taken.
    virtual void clear() = 0;

    /// A message within this pipe's limits, for send(). bad_message: what is wrong with it.
    [[nodiscard]] virtual tl::expected<pipe::EncodedMessage, PipeError> encode(const PipeMessage& message) const = 0;

    /// Sends, and waits until the peer has taken the message: it is in its hands then, and sending it again would
    /// double it. A heartbeat is not waited for. not_taken after `timeout`, cancelled when `cancel` is triggered: the
    /// message is withdrawn as far as the form can (`can_resend`).
    [[nodiscard]] virtual Result send(const pipe::EncodedMessage& message, Milliseconds timeout,
                                      const Signal& cancel) = 0;
    [[nodiscard]] Result send(const PipeMessage& message, Milliseconds timeout, const Signal& cancel = {});

    /// The next message; nothing after `timeout`. What came before an error is received first. bad_message concerns one
    /// message, the next call goes on after it.
    [[nodiscard]] virtual Received receive(Milliseconds timeout, const Signal& cancel = {}) = 0;

    /// Whether the same message may be sent again after not_taken: the peer then gets it once, however often it was
    /// sent. Where this is false, the message lay ready all the time, and was withdrawn at the end of it.
    [[nodiscard]] virtual bool can_resend() const noexcept = 0;

    /// How often to look where the system tells nobody that a peer has done something (a shared folder over a network).
    /// Before the first send or receive. Forms that always hear of it ignore this.
    virtual void look_every(Milliseconds interval) = 0;

    /// The pipe's kind and place, for messages to people.
    [[nodiscard]] virtual std::string describe() const = 0;
};

}  // namespace rankexec
