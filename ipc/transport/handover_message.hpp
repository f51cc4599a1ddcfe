// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace rankexec {

/// What a rank says first. Both ends are the same library on the same host.
struct HandoverRequest {
    static constexpr std::uint32_t kVersion = 3;
    std::uint32_t version = kVersion;
    std::int32_t rank = -1;
    std::uint32_t kind = 0;  ///< HandoverWish, as are the next two
    std::uint32_t unused = 0;
    std::uint64_t number = 0;
    std::uint64_t size = 0;
    std::array<char, 64> password{};  ///< PeerCredentials::password()
};
static_assert(sizeof(HandoverRequest) == 96);

/// The address of that socket; nothing when the path is too long for one.
[[nodiscard]] inline std::optional<sockaddr_un> address_of_socket(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return std::nullopt;
    path.copy(address.sun_path, path.size());
    return address;
}

}  // namespace rankexec
