// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace rankexec {

/// What a rank says first, and all it says. Both ends are the same library on the same host.
struct HandoverRequest {
    static constexpr std::uint32_t kVersion = 1;
    std::uint32_t version = kVersion;
    std::int32_t rank = -1;
    std::array<char, 64> password{};  ///< PeerCredentials::password()
};
static_assert(sizeof(HandoverRequest) == 72);

}  // namespace rankexec
