// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/reachable_address.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec {
namespace {

struct Attempt {
    std::string address;
    UniqueFd socket;
};

UniqueFd begin_connecting(const std::string& address, int port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* list = nullptr;
    if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &list) != 0) return {};
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
    UniqueFd socket(::socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid()) return {};
    if (::connect(socket.get(), list->ai_addr, list->ai_addrlen) != 0 && errno != EINPROGRESS) return {};
    return socket;
}

bool is_connected(int socket) {
    int error = 0;
    socklen_t size = sizeof error;
    return ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

}  // namespace

std::string reachable_address(const std::vector<std::string>& addresses, int port, std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    std::vector<Attempt> attempts;
    for (const auto& address : addresses) {
        auto socket = begin_connecting(address, port);
        if (socket.valid()) attempts.push_back({address, std::move(socket)});
    }
    while (!attempts.empty()) {
        std::vector<pollfd> waiting;
        waiting.reserve(attempts.size());
        for (const auto& attempt : attempts) waiting.push_back({attempt.socket.get(), POLLOUT, 0});
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) return {};
        const int ready = ::poll(waiting.data(), waiting.size(), static_cast<int>(left.count()));
        if (ready < 0 && errno != EINTR) return {};
        // Backwards, so that erasing keeps the indices below valid; the list's order decides ties.
        std::string connected;
        for (std::size_t index = attempts.size(); ready > 0 && index-- > 0;) {
            if (waiting[index].revents == 0) continue;
            if (is_connected(attempts[index].socket.get())) {
                connected = attempts[index].address;
            } else {
                attempts.erase(attempts.begin() + static_cast<std::ptrdiff_t>(index));
            }
        }
        if (!connected.empty()) return connected;
    }
    return {};
}

}  // namespace rankexec
