// SPDX-License-Identifier: Apache-2.0
// Fuzz target of what a pipe receives: an input is a message file (ipc/pipe/PROTOCOL.md, "Files"). Whatever it holds is
// read; what is a message survives another round trip, and so do its frames without a file.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/pipe/message_file.hpp"
#include "rankexec/ipc/pipe/pipe_codec.hpp"

namespace {

using namespace rankexec;

/// Not assert(), which a release build leaves out.
void require(bool holds) {
    if (!holds) std::abort();
}

UniqueFd empty_file() { return UniqueFd(::memfd_create("pipe_fuzz", MFD_CLOEXEC)); }

void rewind(const UniqueFd& file) { require(::lseek(file.get(), 0, SEEK_SET) == 0); }

void check(const std::vector<wire::Frame>& frames, const wire::Limits& limits) {
    const auto envelope = pipe::decode_envelope(frames);
    if (!envelope) return require(!envelope.error().empty());
    if (envelope->type != pipe::FrameType::message) return;
    const auto message = pipe::decode_message(*envelope, frames, limits);
    if (!message) return require(!message.error().empty());
    require(!topic_error(message->topic));
    const auto encoded = pipe::encode(*message, limits);
    require(encoded.has_value());
    const auto again_frames = pipe::to_frames(envelope->session, *encoded);
    const auto file = empty_file();
    require(pipe::write_message_file(file.get(), again_frames).has_value());
    rewind(file);
    const auto again = pipe::read_message_file(file.get(), limits);
    require(again.has_value());
    const auto again_envelope = pipe::decode_envelope(*again);
    require(again_envelope.has_value() && *again_envelope == *envelope);
    const auto again_message = pipe::decode_message(*again_envelope, *again, limits);
    require(again_message.has_value() && *again_message == *message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const wire::Limits limits{.body_bytes = std::size_t{64} << 10U, .message_bytes = std::size_t{1} << 20U};
    const auto file = empty_file();
    require(::write(file.get(), data, size) == static_cast<ssize_t>(size));
    rewind(file);
    const auto frames = pipe::read_message_file(file.get(), limits);
    if (!frames) return require(!frames.error().empty()), 0;
    check(*frames, limits);
    return 0;
}
