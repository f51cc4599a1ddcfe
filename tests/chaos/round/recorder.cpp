// SPDX-License-Identifier: Apache-2.0
#include "recorder.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "zmtp.hpp"

namespace chaos {

Recorder::Recorder(std::string endpoint) : endpoint_(std::move(endpoint)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 8) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0 || ::pipe2(wake_, O_CLOEXEC) != 0) {
        throw std::runtime_error("recorder: no socket");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
}

Recorder::~Recorder() {
    (void)stop();
    for (const int fd : {listener_, wake_[0], wake_[1]}) ::close(fd);
}

std::string Recorder::stop() {
    if (thread_.joinable()) {
        if (::write(wake_[1], "", 1) != 1) ::close(wake_[1]);
        thread_.join();
    }
    return said_;
}

void Recorder::run() {
    for (;;) {
        pollfd waiting[] = {{wake_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
        ::poll(waiting, 2, -1);
        if (waiting[0].revents != 0) return;
        const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        zmtp::Connection parent(endpoint_);
        said_.clear();
        for (bool open = true; open;) {
            pollfd ready[] = {{wake_[0], POLLIN, 0}, {client, POLLIN, 0}, {parent.descriptor(), POLLIN, 0}};
            ::poll(ready, 3, -1);
            std::array<char, 4096> buffer{};
            if (ready[1].revents != 0) {
                const auto size = ::recv(client, buffer.data(), buffer.size(), 0);
                open = size > 0;
                if (open) said_.append(buffer.data(), static_cast<std::size_t>(size));
                if (open) parent.send({buffer.data(), static_cast<std::size_t>(size)});
            }
            if (ready[2].revents != 0) {
                const auto size = ::recv(parent.descriptor(), buffer.data(), buffer.size(), 0);
                open = open && size > 0 &&
                       ::send(client, buffer.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) == size;
            }
            open = open && ready[0].revents == 0;
        }
        ::close(client);
    }
}

}  // namespace chaos
