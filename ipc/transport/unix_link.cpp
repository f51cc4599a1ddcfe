// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/unix_link.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <utility>

#include "rankexec/core/model/wiping.hpp"

namespace rankexec {
namespace {

/// Below this a copy is cheaper than pieces of their own.
constexpr std::size_t kCopyBytes = std::size_t{16} * 1024;
constexpr std::size_t kReadBytes = std::size_t{64} * 1024;
constexpr std::size_t kPieces = 64;

wire::Frame piece_of(WipedBytes&& bytes) {
    const auto owner = std::make_shared<const WipedBytes>(std::move(bytes));
    return {*owner, owner};
}

wire::Frame kept(const wire::Frame& frame) {
    return frame.owner ? frame : piece_of({frame.bytes.begin(), frame.bytes.end()});
}

}  // namespace

UnixLink::UnixLink(EventLoop& loop, UniqueFd socket, const wire::Limits& limits, Callbacks callbacks)
    : loop_(loop), socket_(std::move(socket)), callbacks_(std::move(callbacks)), decoder_(limits) {
    watch();
}

UnixLink::~UnixLink() {
    if (socket_.valid()) loop_.unwatch(socket_.get());
}

bool UnixLink::send(std::span<const wire::Frame> frames) {
    if (!socket_.valid() || peer_gone_) return false;
    const bool idle = queue_.empty();
    std::size_t size = 0;
    for (const auto& frame : frames) size += frame.bytes.size();
    if (size < kCopyBytes) {
        queue_.push_back(piece_of(wire::frame_for_stream(frames)));
    } else {
        for (auto& piece : wire::pieces_for_stream(frames)) queue_.push_back(kept(piece));
    }
    if (idle) write_some();
    return !peer_gone_;
}

void UnixLink::flush(std::chrono::steady_clock::time_point deadline) {
    while (socket_.valid() && !queue_.empty()) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
        pollfd ready{.fd = socket_.get(), .events = POLLOUT, .revents = 0};
        if (left <= 0) return;
        const int count = ::poll(&ready, 1, static_cast<int>(left));
        if (count < 0 && errno != EINTR) return;
        if (count > 0) write_some();
    }
}

void UnixLink::write_some() {
    while (!queue_.empty()) {
        std::array<iovec, kPieces> parts{};
        const auto count = std::min(parts.size(), queue_.size());
        for (std::size_t index = 0; index < count; ++index) {
            const auto bytes = queue_[index].bytes.subspan(index == 0 ? written_ : 0);
            parts[index] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
        }
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = count;
        const auto size = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) continue;
        // ENOBUFS and ENOMEM pass like a full socket does.
        if (size < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)) break;
        if (size < 0) {
            // What the peer sent before it went is still to be read; reading then finds the end.
            peer_gone_ = true;
            queue_.clear();
            written_ = 0;
            break;
        }
        consume(static_cast<std::size_t>(size));
    }
    if (watches_output_ == queue_.empty()) watch();
}

void UnixLink::consume(std::size_t size) {
    while (!queue_.empty()) {
        const auto left = queue_.front().bytes.size() - written_;
        if (size < left) {
            written_ += size;
            return;
        }
        size -= left;
        written_ = 0;
        queue_.pop_front();
    }
}

void UnixLink::watch() {
    watches_output_ = !queue_.empty();
    const std::uint32_t events = watches_output_ ? EPOLLIN | EPOLLOUT : EPOLLIN;
    loop_.watch(socket_.get(), events, [this](std::uint32_t ready) { on_ready(ready); });
}

void UnixLink::on_ready(std::uint32_t events) {
    if ((events & EPOLLOUT) != 0) write_some();
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_some();
}

/// Once for each time that the loop says so: a busy peer must not keep it from others.
void UnixLink::read_some() {
    std::array<std::byte, kReadBytes> buffer;
    const auto size = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (size <= 0) return close(decoder_.inside_message() ? "stream: it ends inside a message" : "");
    // Only what is put together here: what others throw is theirs.
    const auto next = [&](std::span<const std::byte> bytes) -> decltype(decoder_.next()) {
        try {
            if (!bytes.empty()) decoder_.feed(bytes);
            return decoder_.next();
        } catch (const std::bad_alloc&) {
            return tl::unexpected(wire::DecodeError{wire::DecodeError::Kind::protocol,
                                                    "stream: no memory is left for a message", std::nullopt});
        }
    };
    auto bytes = std::span<const std::byte>(buffer.data(), static_cast<std::size_t>(size));
    for (;;) {
        auto frames = next(std::exchange(bytes, {}));
        if (!frames) return close(frames.error().message);
        if (!*frames) return;
        callbacks_.on_message(std::move(**frames));
    }
}

void UnixLink::close(const std::string& error) {
    loop_.unwatch(socket_.get());
    socket_.reset();
    queue_.clear();
    callbacks_.on_closed(error);
}

}  // namespace rankexec
