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
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// The large message of one peer on one channel that is coming in parts, copied to where its tensors will be. One
/// thread.
///
/// Memory is taken frame by frame, when a frame's first part has come and its size is within the limits, and only
/// address space: pages are touched by bytes that have arrived. All of it goes with the message or with this object.
class RANKEXEC_EXPORT Assembly {
public:
    explicit Assembly(wire::Limits limits = {}) : limits_(limits) {}

    /// Takes a part in. Fails when the peer does not follow the protocol.
    [[nodiscard]] tl::expected<void, std::string> add(const wire::MessagePart& part);

    /// Puts what came in parts into a message of that type, and is empty then; leaves others alone. A frame of which
    /// parts are missing stays empty, so that the message cannot be understood. Fails when the peer does not follow the
    /// protocol.
    [[nodiscard]] tl::expected<void, std::string> complete(std::uint16_t type, std::vector<wire::Frame>& frames);

private:
    struct Piece {
        std::size_t frame = 0;
        std::size_t size = 0;
        std::size_t arrived = 0;
        std::span<std::byte> bytes;  ///< empty: there was no memory, and what comes is passed over
        std::shared_ptr<const void> owner;
    };

    [[nodiscard]] tl::expected<void, std::string> begin_frame(const wire::MessagePart& part);

    wire::Limits limits_;
    std::uint16_t type_ = 0;     ///< of the message; 0: none is coming
    std::vector<Piece> pieces_;  ///< in order of frames
    std::size_t total_ = 0;      ///< of their sizes
};

}  // namespace rankexec
