// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace limit {

struct Keys {
    char open[41] = {};
    char secret[41] = {};
    bool used = false;
};
inline Keys make_keys(bool used) {
    Keys keys;
    keys.used = used;
    if (used && ::zmq_curve_keypair(keys.open, keys.secret) != 0) ::_exit(1);
    return keys;
}

/// A socket; with hand-overs a thread of its own has it, which an eventfd wakes for what is to be sent.
class Side {
public:
    /// `rank` -1: the parent, which binds; an empty `endpoint` then is an ipc one without a file.
    Side(int type, const std::string& endpoint, const Keys& keys, int rank, bool hand_over)
        : parent_(rank < 0), socket_(::zmq_socket(::zmq_ctx_new(), type)) {
        const std::string identity(1, static_cast<char>('A' + rank));
        if (!parent_) ::zmq_setsockopt(socket_, ZMQ_ROUTING_ID, identity.data(), identity.size());
        if (keys.used) secure(keys);
        const auto where = endpoint.empty() ? "ipc://@rankexec-limit-" + std::to_string(::getpid()) : endpoint;
        if ((parent_ ? ::zmq_bind(socket_, where.c_str()) : ::zmq_connect(socket_, where.c_str())) != 0) ::_exit(1);
        if (hand_over) std::thread([this] { loop(); }).detach();
        threaded_ = hand_over;
    }

    [[nodiscard]] std::string endpoint() const {
        char text[256] = {};
        std::size_t size = sizeof text;
        ::zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, text, &size);
        return text;
    }
    void send(int rank, const std::vector<std::byte>& bytes) {
        if (!threaded_) return send_now(rank, bytes);
        const std::lock_guard lock(mutex_);
        outgoing_.emplace_back(rank, bytes);
        ::eventfd_write(wake_, 1);
    }
    /// Whose message it was.
    int receive() {
        if (!threaded_) return receive_now(0);
        std::unique_lock lock(mutex_);
        arrived_.wait(lock, [&] { return !incoming_.empty(); });
        const int rank = incoming_.front();
        incoming_.pop_front();
        return rank;
    }

private:
    void secure(const Keys& keys) {
        const int server = 1;
        if (parent_) {
            ::zmq_setsockopt(socket_, ZMQ_CURVE_SERVER, &server, sizeof server);
            ::zmq_setsockopt(socket_, ZMQ_CURVE_SECRETKEY, keys.secret, 40);
            return;
        }
        const auto own = make_keys(true);
        ::zmq_setsockopt(socket_, ZMQ_CURVE_SERVERKEY, keys.open, 40);
        ::zmq_setsockopt(socket_, ZMQ_CURVE_PUBLICKEY, own.open, 40);
        ::zmq_setsockopt(socket_, ZMQ_CURVE_SECRETKEY, own.secret, 40);
    }
    void send_now(int rank, const std::vector<std::byte>& bytes) {
        const char identity = static_cast<char>('A' + rank);
        if (parent_) ::zmq_send(socket_, &identity, 1, ZMQ_SNDMORE);
        ::zmq_send(socket_, bytes.data(), bytes.size(), 0);
    }
    /// -1: there is none, and the flags say not to wait.
    int receive_now(int flags) {
        char identity = 'A';
        if (parent_ && ::zmq_recv(socket_, &identity, 1, flags) < 0) return -1;
        zmq_msg_t message;
        ::zmq_msg_init(&message);
        const int size = ::zmq_msg_recv(&message, socket_, flags);
        ::zmq_msg_close(&message);
        return size < 0 ? -1 : identity - 'A';
    }
    void loop() {
        for (;;) {
            zmq_pollitem_t items[] = {{socket_, 0, ZMQ_POLLIN, 0}, {nullptr, wake_, ZMQ_POLLIN, 0}};
            ::zmq_poll(items, 2, -1);
            std::unique_lock lock(mutex_);
            if (eventfd_t count = 0; items[1].revents != 0) ::eventfd_read(wake_, &count);
            for (; !outgoing_.empty(); outgoing_.pop_front())
                send_now(outgoing_.front().first, outgoing_.front().second);
            for (int rank = receive_now(ZMQ_DONTWAIT); rank >= 0; rank = receive_now(ZMQ_DONTWAIT))
                incoming_.push_back(rank);
            if (!incoming_.empty()) arrived_.notify_one();
        }
    }

    const bool parent_;
    void* const socket_;
    bool threaded_ = false;
    const int wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<std::pair<int, std::vector<std::byte>>> outgoing_;
    std::deque<int> incoming_;
};

}  // namespace limit
