// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/agent/shell/shell_connection.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "rankexec/core/system/log.hpp"
#include "rankexec/worker/agent/shell/shell_message.hpp"

namespace rankexec::agent::shell {
namespace {

constexpr std::size_t kReadBytes = std::size_t{256} << 10U;
/// Then others have their turn.
constexpr int kReadsInARow = 16;

}  // namespace

ShellConnection::ShellConnection(EventLoop& loop, UniqueFd fd, Callbacks callbacks)
    : loop_(loop), fd_(std::move(fd)), callbacks_(std::move(callbacks)) {
    watch();
}

ShellConnection::~ShellConnection() {
    *alive_ = false;
    loop_.unwatch(fd_.get());
}

void ShellConnection::watch() {
    watches_writing_ = !out_.empty();
    loop_.watch(fd_.get(), EPOLLIN | (watches_writing_ ? EPOLLOUT : 0U),
                [this](std::uint32_t events) { on_events(events); });
}

void ShellConnection::on_events(std::uint32_t events) {
    bool lives = (events & EPOLLOUT) == 0 || write();
    if (lives && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) lives = read();
    // What has come in full is dealt with first. Each callback may destroy this.
    const auto alive = alive_;
    const auto callbacks = callbacks_;
    while (*alive && !messages_.empty()) {
        auto message = std::move(messages_.front());
        messages_.pop_front();
        callbacks.on_message(std::move(message));
    }
    if (*alive && !lives) callbacks.on_gone();
}

bool ShellConnection::read() {
    std::vector<std::byte> buffer(kReadBytes);
    for (int reads = 0; reads < kReadsInARow; ++reads) {
        const auto size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (size <= 0) return false;
        decoder_.feed(std::span(buffer).first(static_cast<std::size_t>(size)));
    }
    while (true) {
        const auto frames = decoder_.next();
        if (!frames) {
            log::warning("rankexec agent: " + frames.error().message);
            return false;
        }
        if (!*frames) return true;
        auto message = from_frames(**frames);
        if (!message) {
            log::warning("rankexec agent: " + message.error());
            return false;
        }
        messages_.push_back(std::move(*message));
    }
}

void ShellConnection::send(std::vector<wire::Frame> pieces) {
    for (auto& piece : pieces) out_.push_back(std::move(piece));
    // Whether the peer has gone is seen by reading.
    (void)write();
    if (watches_writing_ == out_.empty()) watch();
}

bool ShellConnection::write() {
    while (!out_.empty()) {
        const auto rest = out_.front().bytes.subspan(written_);
        const auto size = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (size < 0) return false;
        written_ += static_cast<std::size_t>(size);
        if (written_ < out_.front().bytes.size()) continue;
        out_.pop_front();
        written_ = 0;
    }
    if (watches_writing_ && out_.empty()) watch();
    return true;
}

}  // namespace rankexec::agent::shell
