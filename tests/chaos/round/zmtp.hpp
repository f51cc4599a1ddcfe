// SPDX-License-Identifier: Apache-2.0
// Connections that speak ZMTP 3.1 (ZeroMQ's protocol, RFC 37/ZMTP) by hand, and so can break it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace chaos::zmtp {

/// The 64 bytes with which each side begins. `mechanism`: NULL, PLAIN or CURVE.
[[nodiscard]] std::string greeting(std::string_view mechanism);

enum Flag : unsigned { kMore = 1, kLong = 2, kCommand = 4 };
/// What precedes a frame of that size; kLong is chosen by size.
[[nodiscard]] std::string header(unsigned flags, std::uint64_t size);
[[nodiscard]] std::string frame(unsigned flags, std::string_view content);
[[nodiscard]] std::string command(std::string_view name, std::string_view content);
/// PLAIN's first command (RFC 24).
[[nodiscard]] std::string plain_hello(std::string_view user, std::string_view password);
/// The command that ends a PLAIN or NULL client's part of the handshake.
[[nodiscard]] std::string metadata_command(std::string_view name);

class Connection {
public:
    /// To "ipc://PATH" or "tcp://ADDRESS:PORT" (IPv4). Look at connected().
    explicit Connection(const std::string& endpoint);
    ~Connection();
    Connection(Connection&& other) noexcept : socket_(other.socket_), error_(other.error_) { other.socket_ = -1; }
    Connection& operator=(Connection&&) = delete;

    [[nodiscard]] bool connected() const { return error_ == 0; }
    [[nodiscard]] int error() const { return error_; }  ///< errno of connect
    [[nodiscard]] int descriptor() const { return socket_; }
    /// Waits for room at most that long; false: the other side is gone, or does not read.
    bool send(std::string_view bytes, std::chrono::milliseconds longest = std::chrono::milliseconds(3000));
    /// What has come until the other side closed, until `until` is in it, or until time was over.
    std::string receive(std::string_view until, std::chrono::milliseconds longest);
    [[nodiscard]] bool closed() const { return closed_; }  ///< as receive() saw it

private:
    int socket_ = -1;
    int error_ = 0;
    bool closed_ = false;
};

}  // namespace chaos::zmtp
