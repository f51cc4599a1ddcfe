// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/zmq_socket.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <memory>
#include <utility>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
// Of the runtime; no header declares them.
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);
#endif

namespace rankexec {
namespace {

/// Below this a copy is cheaper than the bookkeeping of a shared frame.
constexpr std::size_t kCopyBytes = 1024;

/// So that one busy peer cannot keep the loop from its timers.
constexpr int kMessagesPerRound = 64;

/// Longer than any round trip on a working network; a silent connection must not hold a slot.
constexpr int kHandshakeMilliseconds = 2000;

using Owner = std::shared_ptr<const void>;

// A message is freed on a thread of libzmq, after its mailboxes have handed it there. The thread
// sanitizer cannot see that in a libzmq that was not built for it, so it is told.
void* hand_over(Owner* owner) {
#ifdef __SANITIZE_THREAD__
    __tsan_release(owner);
#endif
    return owner;
}
Owner* take_over(void* owner) {
#ifdef __SANITIZE_THREAD__
    __tsan_acquire(owner);
#endif
    return static_cast<Owner*>(owner);
}

/// A descriptor of libzmq's is closed where the thread sanitizer does not see it, and may be given out again
/// to another thread. What we did with it is then no use of what is another descriptor.
class ForeignDescriptor {
public:
    // NOLINTNEXTLINE(modernize-use-equals-default): empty only without that sanitizer
    ForeignDescriptor() {
#ifdef __SANITIZE_THREAD__
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
#endif
    }
    ~ForeignDescriptor() {  // NOLINT(modernize-use-equals-default): likewise
#ifdef __SANITIZE_THREAD__
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
#endif
    }
    ForeignDescriptor(const ForeignDescriptor&) = delete;
    ForeignDescriptor& operator=(const ForeignDescriptor&) = delete;
};

zmq::message_t to_message(const wire::Frame& frame) {
    if (frame.bytes.size() < kCopyBytes || frame.owner == nullptr) {
        return {frame.bytes.data(), frame.bytes.size()};
    }
    // ZeroMQ takes mutable memory but only reads it.
    return {const_cast<std::byte*>(frame.bytes.data()), frame.bytes.size(),
            [](void* /*data*/, void* owner) { delete take_over(owner); }, hand_over(new Owner(frame.owner))};
}

zmq::message_t joined(const wire::Frame& envelope, const wire::Frame& body) {
    zmq::message_t message(envelope.bytes.size() + body.bytes.size());
    const auto rest = std::ranges::copy(envelope.bytes, static_cast<std::byte*>(message.data())).out;
    std::ranges::copy(body.bytes, rest);
    return message;
}

}  // namespace

wire::Frame to_frame(zmq::message_t&& part) {
    auto owner = std::make_shared<zmq::message_t>(std::move(part));
    const std::span bytes(static_cast<const std::byte*>(owner->data()), owner->size());
    return {bytes, std::move(owner)};
}

std::vector<wire::Frame> to_frames(std::vector<zmq::message_t>&& parts, std::size_t first) {
    std::vector<wire::Frame> frames;
    frames.reserve(parts.size() - first + 1);
    for (std::size_t part = first; part < parts.size(); ++part) {
        auto frame = to_frame(std::move(parts[part]));
        const auto size = part == first ? wire::envelope_length(frame.bytes) : 0;
        if (size == 0) {
            frames.push_back(std::move(frame));
            continue;
        }
        frames.push_back({frame.bytes.first(size), frame.owner});
        frames.push_back({frame.bytes.subspan(size), std::move(frame.owner)});
    }
    return frames;
}

bool send_frames(zmq::socket_t& socket, const std::vector<wire::Frame>& frames) {
    const std::size_t head = std::min<std::size_t>(frames.size(), 2);
    for (std::size_t next = head; next <= frames.size(); ++next) {
        const auto more = next < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
        auto part = next > head ? to_message(frames[next - 1])
                    : head == 2 ? joined(frames[0], frames[1])
                                : to_message(frames[0]);
        if (!socket.send(std::move(part), more | zmq::send_flags::dontwait)) return false;
    }
    return true;
}

bool send_parts(zmq::socket_t& socket, std::span<const wire::Frame> parts) {
    for (std::size_t next = 0; next < parts.size(); ++next) {
        const auto more = next + 1 < parts.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
        if (!socket.send(to_message(parts[next]), more | zmq::send_flags::dontwait)) return false;
    }
    return true;
}

std::vector<zmq::message_t> receive_parts(zmq::socket_t& socket) {
    std::vector<zmq::message_t> parts;
    do {
        zmq::message_t part;
        if (!socket.recv(part, zmq::recv_flags::dontwait)) return {};
        parts.push_back(std::move(part));
    } while (parts.back().more());
    return parts;
}

void set_common_options(zmq::socket_t& socket, std::size_t max_message_bytes) {
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(max_message_bytes));
    socket.set(zmq::sockopt::handshake_ivl, kHandshakeMilliseconds);
    // Every message of ours belongs to a call that is bounded elsewhere; a high-water mark would
    // drop an abort or a close behind a slow peer.
    socket.set(zmq::sockopt::sndhwm, 0);
    socket.set(zmq::sockopt::rcvhwm, 0);
    socket.set(zmq::sockopt::ipv6, false);
}

void set_heartbeats(zmq::socket_t& socket, std::chrono::milliseconds timeout) {
    if (timeout.count() == 0) return;
    const int limit = static_cast<int>(timeout.count());
    socket.set(zmq::sockopt::heartbeat_ivl, std::max(1, limit / 4));
    socket.set(zmq::sockopt::heartbeat_timeout, limit);
}

void set_keepalive(zmq::socket_t& socket) {
    socket.set(zmq::sockopt::tcp_keepalive, 1);
    socket.set(zmq::sockopt::tcp_keepalive_idle, 10);
    socket.set(zmq::sockopt::tcp_keepalive_intvl, 5);
    socket.set(zmq::sockopt::tcp_keepalive_cnt, 4);
    socket.set(zmq::sockopt::tcp_maxrt, 30'000);  // what was sent and is not acknowledged holds keepalives up
}

SocketWatch::SocketWatch(EventLoop& loop, zmq::socket_t& socket, OnMessage on_message)
    : loop_(loop), socket_(socket), on_message_(std::move(on_message)), fd_(socket.get(zmq::sockopt::fd)) {
    {
        const ForeignDescriptor here;
        loop_.watch(fd_, EPOLLIN, [this](std::uint32_t) { check_ = true; });
    }
    source_ = loop_.add_source([this] { return drain(); });
}

SocketWatch::~SocketWatch() {
    loop_.remove_source(source_);
    const ForeignDescriptor here;
    loop_.unwatch(fd_);
}

bool SocketWatch::drain() {
    if (!check_) return false;
    for (int count = 0; count < kMessagesPerRound; ++count) {
        auto parts = receive_parts(socket_);
        if (parts.empty()) {
            check_ = false;
            return count > 0;
        }
        on_message_(std::move(parts));
    }
    return true;
}

}  // namespace rankexec
