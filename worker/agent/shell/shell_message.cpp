// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/agent/shell/shell_message.hpp"

#include "rankexec/ipc/pipe/pipe_codec.hpp"
#include "rankexec/ipc/transport/credentials.hpp"
#include "rankexec/ipc/wire/stream_framing.hpp"

namespace rankexec::agent::shell {

tl::expected<std::vector<wire::Frame>, std::string> to_pieces(const PipeMessage& message) {
    static const std::string session = random_run_id();
    const auto encoded = pipe::encode(message);
    if (!encoded) return tl::unexpected(encoded.error());
    return wire::pieces_for_stream(pipe::to_frames(session, *encoded));
}

tl::expected<PipeMessage, std::string> from_frames(const std::vector<wire::Frame>& frames) {
    const auto envelope = pipe::decode_envelope(frames);
    if (!envelope) return tl::unexpected(envelope.error());
    if (envelope->type != pipe::FrameType::message) return tl::unexpected<std::string>("not a message");
    return pipe::decode_message(*envelope, frames);
}

Shareable outcome_of(std::string_view outcome, const std::string& message) {
    Shareable content;
    content.headers[kOutcomeHeader] = outcome;
    if (!message.empty()) content.headers[kMessageHeader] = message;
    return content;
}

}  // namespace rankexec::agent::shell
