// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/control/control_socket.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec::process {

ControlSocket::ControlSocket(EventLoop& loop, UniqueFd socket, std::string run_id, Callbacks callbacks)
    : loop_(loop), socket_(std::move(socket)), run_id_(std::move(run_id)), callbacks_(std::move(callbacks)) {
    loop_.watch(socket_.get(), EPOLLIN, [this](std::uint32_t events) { on_ready(events); });
}

ControlSocket::~ControlSocket() { close(); }

void ControlSocket::close() {
    if (!socket_.valid()) return;
    loop_.unwatch(socket_.get());
    socket_.reset();
    queue_.clear();
}

bool ControlSocket::send(const wire::Message& message) {
    if (!socket_.valid()) return true;
    if (run_id_.empty()) {
        if (const auto* supervise = std::get_if<wire::Supervise>(&message)) run_id_ = supervise->run_id;
    }
    wire::Envelope envelope;
    envelope.run_id = run_id_;
    envelope.sequence = ++sequence_;
    const auto frames = wire::encode(envelope, message);
    if (!frames) return false;
    const bool idle = queue_.empty();
    queue_.push_back(wire::frame_for_stream(*frames));
    if (idle) write_some();
    return true;
}

void ControlSocket::write_some() {
    while (!queue_.empty()) {
        const auto& front = queue_.front();
        const auto size = ::send(socket_.get(), front.data() + written_, front.size() - written_, MSG_NOSIGNAL);
        if (size < 0 && errno == EINTR) continue;
        // ENOBUFS and ENOMEM pass like a full socket does.
        if (size < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)) break;
        if (size < 0) {
            // The peer is gone. What it sent before is still to be read; reading then finds the end.
            queue_.clear();
            written_ = 0;
            break;
        }
        written_ += static_cast<std::size_t>(size);
        if (written_ < front.size()) continue;
        queue_.pop_front();
        written_ = 0;
    }
    update_watch();
}

void ControlSocket::update_watch() {
    const bool wanted = !queue_.empty();
    if (wanted == watches_output_) return;
    watches_output_ = wanted;
    const std::uint32_t events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN;
    loop_.watch(socket_.get(), events, [this](std::uint32_t ready) { on_ready(ready); });
}

void ControlSocket::on_ready(std::uint32_t events) {
    if ((events & EPOLLOUT) != 0 && socket_.valid()) {
        write_some();
        if (queue_.empty() && on_flushed_) on_flushed_();
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && socket_.valid()) read_once();
}

void ControlSocket::serve_once(std::chrono::milliseconds longest) {
    if (!socket_.valid()) return;
    pollfd ready{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (!queue_.empty()) ready.events |= POLLOUT;
    if (::poll(&ready, 1, static_cast<int>(longest.count())) <= 0) return;
    if ((ready.revents & POLLOUT) != 0) write_some();
    drain();
}

void ControlSocket::drain() {
    while (socket_.valid() && read_once()) {
    }
}

bool ControlSocket::read_once() {
    std::array<std::byte, 64 * 1024> buffer;
    const auto size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) return true;
    if (size < 0 && errno == EAGAIN) return false;
    if (size <= 0) {
        fail("");
        return false;
    }
    decoder_.feed(std::span(buffer.data(), static_cast<std::size_t>(size)));
    deliver();
    return socket_.valid();
}

void ControlSocket::deliver() {
    while (socket_.valid()) {
        auto frames = decoder_.next();
        if (!frames) return fail(frames.error().message);
        if (!*frames) return;
        auto decoded = wire::decode(**frames);
        if (!decoded) return fail(decoded.error().message);
        if (run_id_.empty()) run_id_ = decoded->envelope.run_id;
        if (decoded->envelope.run_id == run_id_) callbacks_.on_message(std::move(decoded->message));
    }
}

void ControlSocket::fail(const std::string& error) {
    close();
    callbacks_.on_closed(error);
}

}  // namespace rankexec::process
