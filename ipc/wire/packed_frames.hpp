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
#include "rankexec/ipc/wire/codec.hpp"

/// The frames of one message as one run of bytes, where the border of messages is known (a ring in shared memory): the
/// number of frames and the length of each, as u64, then the frames, each from a multiple of 16 bytes on, so that the
/// elements of a tensor lie as their type wants it. A frame may stand for bytes elsewhere; its length then has the
/// highest bit set, and what it holds is the transport's. PROTOCOL.md, section "Shared memory".
namespace rankexec::wire {

struct PackedFrame {
    Frame frame;
    bool elsewhere = false;  ///< it only says where the bytes are
};

/// What is to be written, in pieces that refer to the frames. Used again for the next message. One thread.
class RANKEXEC_EXPORT FramePacker {
public:
    /// Valid until the next call, and as long as the frames.
    [[nodiscard]] std::span<const std::span<const std::byte>> pack(std::span<const PackedFrame> frames);

private:
    std::vector<std::uint64_t> lengths_;
    std::vector<std::span<const std::byte>> pieces_;
};

/// The frames in `bytes`, which they share. Fails when these are not exactly a message's frames within the limits; the
/// frames themselves are not looked at.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::vector<PackedFrame>, std::string> unpack_frames(
    const std::shared_ptr<const std::vector<std::byte>>& bytes, const Limits& limits = {});

}  // namespace rankexec::wire
