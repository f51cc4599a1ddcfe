// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace rankexec::wire {

/// What a decoder accepts at most. A message beyond a limit is refused before memory is allocated
/// for it. PROTOCOL.md, section "Limits", is normative.
struct Limits {
    std::size_t body_bytes = std::size_t{64} << 20U;    ///< one msgpack body
    std::size_t message_bytes = std::size_t{4} << 30U;  ///< all frames of one message, tensors included
    std::size_t frames = 1026;                          ///< envelope, body, tensors
    std::size_t depth = 64;                             ///< nesting of a value tree
    std::size_t nodes = 4'000'000;                      ///< values in one body
    std::size_t text_bytes = std::size_t{16} << 20U;    ///< one string or byte string
    std::size_t dimensions = 32;                        ///< of one tensor's shape
};

inline constexpr std::size_t kEnvelopeBytes = 256;  ///< the first frame of a message
inline constexpr std::uint16_t kVersion = 0;        ///< 0 until the fast data plane has landed
inline constexpr std::int32_t kAllRanks = -1;       ///< in the envelope of a message in the ring to all ranks
inline constexpr std::int64_t kMaxRanks = 65'536;   ///< world size

}  // namespace rankexec::wire
