// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/master_port.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <string>

namespace rankexec {
namespace {

/// Somebody who holds all the names must not keep groups from starting.
constexpr int kAttempts = 16;

/// The kernel's choice; 0 when there is none.
int free_port() {
    const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    socklen_t size = sizeof address;
    if (!socket.valid() || ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        return 0;
    }
    return ntohs(address.sin_port);
}

/// An abstract socket name (unix(7)) can be bound once per network namespace, as a port can, and goes with
/// its socket.
UniqueFd claim_name_of(int port) {
    const auto name = "rankexec-master-port-" + std::to_string(port);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket.valid() && ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) socket.reset();
    return socket;
}

}  // namespace

MasterPort MasterPort::claim() {
    MasterPort port;
    for (int attempt = 0; attempt < kAttempts && !port.claim_.valid(); ++attempt) {
        port.number_ = free_port();
        if (port.number_ != 0) port.claim_ = claim_name_of(port.number_);
    }
    return port;
}

}  // namespace rankexec
