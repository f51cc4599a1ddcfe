// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec {

/// A bad network: passes connections to a port on this host on to another one, slowly if it is to, buffers little, and
/// can be cut.
class NetworkRelay {
public:
    /// 0 bytes per second: as fast as it can.
    explicit NetworkRelay(int target, std::size_t bytes_per_second = 0)
        : target_(target), bytes_per_second_(bytes_per_second) {
        listener_ = small_socket();
        auto address = local(0);
        EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(listener_.get(), 16), 0);
        socklen_t size = sizeof address;
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        acceptor_ = std::thread([this] { accept_all(); });
    }
    ~NetworkRelay() {
        ::shutdown(listener_.get(), SHUT_RDWR);
        acceptor_.join();
        cut();
        for (auto& thread : threads_) thread.join();
    }
    NetworkRelay(const NetworkRelay&) = delete;
    NetworkRelay& operator=(const NetworkRelay&) = delete;

    [[nodiscard]] int port() const { return port_; }
    /// What is sent from now on is taken, and gets nowhere, until the next cut.
    void lose() { losing_ = true; }
    /// Ends the connections that there are.
    void cut() {
        const std::lock_guard lock(mutex_);
        for (auto& fd : fds_) ::shutdown(fd.get(), SHUT_RDWR);
        losing_ = false;
    }

private:
    static sockaddr_in local(int port) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return address;
    }
    /// With small buffers, which those of its accepted connections are too.
    static UniqueFd small_socket() {
        UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const int small = 64 * 1024;
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        return fd;
    }
    void accept_all() {
        for (;;) {
            UniqueFd one(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!one.valid()) return;
            auto other = small_socket();
            const auto address = local(target_);
            if (::connect(other.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) continue;
            const int from = one.get();
            const int to = other.get();
            const std::lock_guard lock(mutex_);
            fds_.push_back(std::move(one));
            fds_.push_back(std::move(other));
            threads_.emplace_back([this, from, to] { pass(from, to); });
            threads_.emplace_back([this, from, to] { pass(to, from); });
        }
    }
    void pass(int from, int to) const {
        std::vector<char> bytes(16 * 1024);
        bool lost = false;
        for (;;) {
            const auto size = ::recv(from, bytes.data(), bytes.size(), 0);
            if (size <= 0) break;
            if (bytes_per_second_ != 0) {
                const auto microseconds = 1'000'000 * static_cast<std::size_t>(size) / bytes_per_second_;
                std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
            }
            // A connection that has lost something brings nothing more, whatever is read before its end.
            lost = lost || losing_;
            if (!lost && ::send(to, bytes.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) != size) break;
        }
        ::shutdown(from, SHUT_RDWR);
        ::shutdown(to, SHUT_RDWR);
    }

    const int target_;
    const std::size_t bytes_per_second_;
    int port_ = 0;
    std::atomic<bool> losing_ = false;
    UniqueFd listener_;
    std::mutex mutex_;
    std::list<UniqueFd> fds_;  ///< guarded by mutex_; open until the end, so that no number is another socket's
    std::list<std::thread> threads_;
    std::thread acceptor_;
};

}  // namespace rankexec
