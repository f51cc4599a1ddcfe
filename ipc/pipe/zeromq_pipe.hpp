// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/pipe/pipe.hpp"

namespace rankexec {

/// How long a closing end waits for its peer to hear of it.
inline constexpr std::chrono::milliseconds kPipeCloseTimeout{500};

/// A pipe over ZeroMQ: the passive end listens on this host and, on request, on tcp; the active end connects with the
/// credentials that the passive end has made for exactly this pipe. Nobody without them gets a message through
/// (CURVE on tcp, PLAIN on this host; SECURITY.md). A second active end with the same credentials is turned away as
/// long as the first is connected, and takes its place when that has gone.
///
/// A message counts as taken when it is queued at the peer. It is encoded once, sent again by itself after a connection
/// was lost, and queued once however often it comes. After not_taken it may still arrive later; sending it again then
/// waits for the first one to be confirmed, and puts it on the wire again only where it was lost. Heartbeats and
/// confirmations have a connection of their own, past large messages. Silence is not judged here: PipeHandler does.
///
/// An end that closes tells its peer, whose calls then fail as broken, on the passive end until another peer comes or
/// clear(). On one host the active end also knows at once when the passive one was killed.
///
/// Owns a thread and a ZeroMQ context from open() to close().
class RANKEXEC_EXPORT ZeromqPipe final : public Pipe {
public:
    struct Options {
        PipeMode mode = PipeMode::passive;
        std::string credentials;        ///< active: what credentials() of the passive end gave
        bool tcp = false;               ///< passive: other hosts may connect
        std::string advertise_address;  ///< passive, on tcp: what they connect to; empty: every interface
        std::string
            run_directory;  ///< passive: for the local socket; must not exist; empty: as choose_run_directory() says
        std::size_t queued_messages = 64;  ///< that were taken and not received; further ones wait at the peer
        wire::Limits limits;
        OnPipeStep on_step = {};
    };
    /// Throws ConfigurationError when an option does not go with the mode, or the credentials are none.
    explicit ZeromqPipe(Options options);
    ~ZeromqPipe() override;

    /// Passive, after open(): what the active end needs; a secret, to be handed over as ranks' credentials are, and
    /// wiped by whoever has copied it.
    [[nodiscard]] std::string credentials() const;
    /// Connections that were turned away: without credentials, or with them while another peer was connected.
    [[nodiscard]] std::uint64_t rejected() const;

    [[nodiscard]] tl::expected<void, Failure> open(Milliseconds timeout) override;
    void close() override;
    void clear() override;
    [[nodiscard]] tl::expected<pipe::EncodedMessage, PipeError> encode(const PipeMessage& message) const override;
    using Pipe::send;
    [[nodiscard]] Result send(const pipe::EncodedMessage& message, Milliseconds timeout, const Signal& cancel) override;
    [[nodiscard]] Received receive(Milliseconds timeout, const Signal& cancel = {}) override;
    [[nodiscard]] bool can_resend() const noexcept override { return true; }
    void look_every(Milliseconds /*interval*/) override {}
    [[nodiscard]] std::string describe() const override;

private:
    class Core;
    std::unique_ptr<Core> core_;
};

}  // namespace rankexec
