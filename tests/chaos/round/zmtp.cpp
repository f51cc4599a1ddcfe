// SPDX-License-Identifier: Apache-2.0
#include "zmtp.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace chaos::zmtp {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

std::string big_endian(std::uint64_t number, unsigned bytes) {
    std::string text;
    for (unsigned index = bytes; index-- > 0;) text += static_cast<char>(number >> (8U * index));
    return text;
}

int connect_unix(int socket, const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return ::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address);
}

int connect_tcp(int socket, const std::string& host, int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
    return ::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address);
}

bool wait_for(int socket, short events, Clock::time_point deadline) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    pollfd ready{.fd = socket, .events = events, .revents = 0};
    return left.count() > 0 && ::poll(&ready, 1, static_cast<int>(left.count())) > 0;
}

}  // namespace

std::string greeting(std::string_view mechanism) {
    std::string text = std::string("\xff", 1) + std::string(8, '\0') + "\x7f\x03\x01" + std::string(mechanism);
    text.resize(64, '\0');
    return text;
}

std::string header(unsigned flags, std::uint64_t size) {
    const bool is_long = size > 255;
    const unsigned all = flags | (is_long ? kLong : 0U);
    return std::string(1, static_cast<char>(all)) + big_endian(size, is_long ? 8 : 1);
}

std::string frame(unsigned flags, std::string_view content) {
    return header(flags, content.size()) + std::string(content);
}

std::string command(std::string_view name, std::string_view content) {
    return frame(kCommand, big_endian(name.size(), 1) + std::string(name) + std::string(content));
}

std::string plain_hello(std::string_view user, std::string_view password) {
    return command("HELLO", big_endian(user.size(), 1) + std::string(user) + big_endian(password.size(), 1) +
                                std::string(password));
}

std::string metadata_command(std::string_view name) {
    const auto property = [](std::string_view key, std::string_view value) {
        return big_endian(key.size(), 1) + std::string(key) + big_endian(value.size(), 4) + std::string(value);
    };
    return command(name, property("Socket-Type", "DEALER") + property("Identity", ""));
}

Connection::Connection(const std::string& endpoint) {
    const bool ipc = endpoint.starts_with("ipc://");
    const auto place = endpoint.substr(6);
    socket_ = ::socket(ipc ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto colon = place.rfind(':');
    const int result = ipc ? connect_unix(socket_, place)
                           : connect_tcp(socket_, place.substr(0, colon), std::stoi(place.substr(colon + 1)));
    if (result != 0) error_ = errno;
    ::fcntl(socket_, F_SETFL, O_NONBLOCK);
}

Connection::~Connection() {
    if (socket_ >= 0) ::close(socket_);
}

bool Connection::send(std::string_view bytes, milliseconds longest) {
    const auto deadline = Clock::now() + longest;
    while (!bytes.empty()) {
        const auto size = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (size > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(size));
        } else if (errno != EAGAIN || !wait_for(socket_, POLLOUT, deadline)) {
            return false;
        }
    }
    return true;
}

std::string Connection::receive(std::string_view until, milliseconds longest) {
    const auto deadline = Clock::now() + longest;
    std::string seen;
    std::array<char, 4096> buffer{};
    while (until.empty() || seen.find(until) == std::string::npos) {
        if (!wait_for(socket_, POLLIN, deadline)) break;
        const auto size = ::recv(socket_, buffer.data(), buffer.size(), 0);
        if (size == 0 || (size < 0 && errno != EAGAIN)) closed_ = true;
        if (size <= 0) break;
        seen.append(buffer.data(), static_cast<std::size_t>(size));
    }
    return seen;
}

}  // namespace chaos::zmtp
