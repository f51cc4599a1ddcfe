// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec {

/// What one end of a channel whose session outlives its connections keeps for one peer: what it has sent and the peer
/// has not said it has, to be sent again on the next connection; and when to tell the peer what has come from it.
/// PROTOCOL.md, section "Cut connections". One thread.
class RANKEXEC_EXPORT Resumption {
public:
    /// The next message, as it went out; its number is one more than the last one's.
    void keep(std::vector<wire::Frame> frames);
    /// The peer has all messages up to this number: they are forgotten. False when it cannot say so: nothing with that
    /// number was sent, or it has said before that it has more.
    [[nodiscard]] bool received(std::uint64_t last);
    /// Those that it may not have, in order.
    [[nodiscard]] const std::deque<std::vector<wire::Frame>>& unreceived() const noexcept { return unreceived_; }

    /// A message of that type and so many bytes has come. Whether the peer should be told now, because it waits for
    /// that or should not keep more.
    [[nodiscard]] bool must_confirm(std::uint16_t type, std::size_t bytes);

private:
    std::deque<std::vector<wire::Frame>> unreceived_;
    std::uint64_t forgotten_ = 0;  ///< number of the last one that is not kept any more
    std::size_t messages_ = 0;     ///< that have come, since the peer was told
    std::size_t bytes_ = 0;
};

}  // namespace rankexec
