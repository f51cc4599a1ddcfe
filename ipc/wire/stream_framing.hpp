// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/wiping.hpp"
#include "rankexec/ipc/wire/codec.hpp"

/// Messages on a byte stream (a Unix socket), where nothing else marks their borders: number of frames, then length and
/// bytes of each. PROTOCOL.md, section "Streams".
namespace rankexec::wire {

/// The frames as one run of bytes, copied. Messages to the guardian hold credentials.
[[nodiscard]] RANKEXEC_EXPORT WipedBytes frame_for_stream(std::span<const Frame> frames);

/// The same in pieces, one after the other: the frames themselves, not copied, and what goes between them.
[[nodiscard]] RANKEXEC_EXPORT std::vector<Frame> pieces_for_stream(std::span<const Frame> frames);

/// Cuts a byte stream into messages, however its bytes arrive. Memory grows with the bytes that have
/// arrived, never with the lengths that they claim. Belongs to one thread at a time.
class RANKEXEC_EXPORT StreamDecoder {
public:
    explicit StreamDecoder(const Limits& limits = {}) : limits_(limits) {}

    /// Takes the next bytes of the stream. Does nothing after an error.
    void feed(std::span<const std::byte> bytes);

    /// The oldest complete message; nothing when more bytes are needed. Messages that came before an
    /// error are handed out first; the error then stays, for a stream that is out of step cannot be
    /// brought back into it. Frames share ownership of their bytes.
    [[nodiscard]] tl::expected<std::optional<std::vector<Frame>>, DecodeError> next();

    /// Whether the stream stands inside a message: end of file here means a cut message.
    [[nodiscard]] bool inside_message() const noexcept { return header_filled_ != 0 || expecting_ != Expecting::count; }

private:
    enum class Expecting : std::uint8_t { count, length, bytes };

    [[nodiscard]] std::span<const std::byte> fill_header(std::span<const std::byte> bytes);
    void on_header();
    void on_count(std::uint64_t count);
    void on_length(std::uint64_t length);
    void finish_frame();
    void fail(std::string what);

    Limits limits_;
    Expecting expecting_ = Expecting::count;
    std::byte header_[8] = {};
    std::size_t header_filled_ = 0;
    std::size_t frames_left_ = 0;
    std::size_t frame_left_ = 0;
    std::size_t message_bytes_ = 0;
    WipedBytes frame_;
    std::vector<Frame> message_;
    std::deque<std::vector<Frame>> complete_;
    std::optional<DecodeError> error_;
};

}  // namespace rankexec::wire
