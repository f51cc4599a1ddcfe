// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sodium.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <new>
#include <optional>
#include <system_error>
#include <utility>

#include "rankexec/core/model/wiping.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/ipc/transport/handover.hpp"
#include "rankexec/ipc/transport/handover_message.hpp"

namespace rankexec {
namespace {

constexpr int kBacklog = 4096;
/// Accepted connections that have not said anything; more wait in the backlog.
constexpr std::size_t kMostWaiting = 64;

bool is_same_user(int connection) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == ::getuid();
}

bool send_handover(int connection, const HandoverServer::Handover& handover) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kHandoverDescriptors * sizeof(int))> control{};
    iovec bytes{const_cast<std::byte*>(handover.bytes.data()), handover.bytes.size()};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    if (!handover.descriptors.empty()) {
        const auto size = handover.descriptors.size() * sizeof(int);
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(size);
        auto* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(size);
        std::memcpy(CMSG_DATA(header), handover.descriptors.data(), size);
    }
    // An empty socket takes a short message as a whole.
    return ::sendmsg(connection, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(handover.bytes.size());
}

class UnixHandoverServer final : public HandoverServer {
public:
    UnixHandoverServer(EventLoop& loop, UniqueFd listener, std::string path, const Bootstrap& bootstrap, OnRank on_rank,
                       std::chrono::milliseconds patience)
        : loop_(loop),
          listener_(std::move(listener)),
          path_(std::move(path)),
          run_secret_(bootstrap.secret),
          world_size_(bootstrap.world_size),
          on_rank_(std::move(on_rank)),
          patience_(patience) {
        listen();
    }

    ~UnixHandoverServer() override {
        while (!waiting_.empty()) drop(waiting_.begin()->first);
        loop_.cancel(pause_timer_);
        loop_.unwatch(listener_.get());
        ::unlink(path_.c_str());
    }

    [[nodiscard]] std::uint64_t refused() const override { return refused_; }

private:
    struct Connection {
        UniqueFd socket;
        EventLoop::TimerId timer = 0;
    };

    void accept_all() {
        for (;;) {
            UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
            if (!socket.valid()) {
                if (errno == EAGAIN || errno == EWOULDBLOCK) return;
                if (errno == ECONNABORTED || errno == EINTR) continue;
                if ((errno == EMFILE || errno == ENFILE) && reserve_.valid()) return turn_one_away();
                // The connection stays in the backlog; level-triggered, the loop would come back at once, for ever.
                log::warning("ranks cannot be accepted for a while: " + std::generic_category().message(errno));
                return pause();
            }
            if (!is_same_user(socket.get())) {
                ++refused_;
                continue;
            }
            try {
                wait_for(std::move(socket));
            } catch (const std::system_error& error) {
                log::warning(std::string("a rank cannot be served: ") + error.what());
                ++refused_;
            }
            if (waiting_.size() >= kMostWaiting) return pause();
        }
    }

    /// There are no descriptors to give either; whoever asks is told at once instead of waiting for them.
    void turn_one_away() {
        reserve_.reset();
        if (const UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); socket.valid()) {
            ++refused_;
        } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
            pause();
        }
        keep_reserve();
    }

    void keep_reserve() {
        if (!reserve_.valid()) reserve_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    }

    /// Until a connection has gone, or a while later.
    void pause() {
        if (pause_timer_ != 0) return;
        loop_.unwatch(listener_.get());
        pause_timer_ = loop_.call_after(patience_, [this] { resume(); });
    }

    void resume() {
        if (pause_timer_ == 0) return;
        loop_.cancel(std::exchange(pause_timer_, 0));
        listen();
    }

    void listen() {
        keep_reserve();
        try {
            loop_.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_all(); });
        } catch (const std::system_error& error) {
            log::warning(std::string("ranks cannot be accepted for a while: ") + error.what());
            pause();
        }
    }

    void wait_for(UniqueFd socket) {
        const int fd = socket.get();
        loop_.watch(fd, EPOLLIN, [this, fd](std::uint32_t) { on_request(fd); });
        auto& connection = waiting_[fd];
        connection.socket = std::move(socket);
        connection.timer = loop_.call_after(patience_, [this, fd] { give_up(fd); });
    }

    /// Where memory has run out, the rank is refused, and goes over ZeroMQ.
    void on_request(int fd) {
        try {
            answer(fd);
        } catch (const std::bad_alloc&) {
            if (waiting_.contains(fd)) refuse(fd);
        }
    }

    void answer(int fd) {
        HandoverRequest request;
        const auto size = ::recv(fd, &request, sizeof request, 0);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
        const auto rank = size == sizeof request ? rank_of(request) : std::nullopt;
        const HandoverWish wish{static_cast<HandoverWish::Kind>(request.kind), request.number, request.size};
        ::sodium_memzero(&request, sizeof request);
        if (!rank) return refuse(fd);
        const auto handover = on_rank_(*rank, wish);
        if (handover.bytes.empty() || !send_handover(fd, handover)) return refuse(fd);
        if (handover.keep) return handover.keep(release(fd));
        drop(fd);
    }

    /// What was said in time counts, however long it took to serve others.
    void give_up(int fd) {
        char first = 0;
        if (::recv(fd, &first, 1, MSG_PEEK) > 0) return on_request(fd);
        refuse(fd);
    }

    [[nodiscard]] std::optional<int> rank_of(const HandoverRequest& request) const {
        if (request.version != HandoverRequest::kVersion) return std::nullopt;
        if (request.rank < 0 || request.rank >= world_size_) return std::nullopt;
        if (request.kind > static_cast<std::uint32_t>(HandoverWish::Kind::result_segment)) return std::nullopt;
        auto expected = PeerCredentials::derive(run_secret_, PeerRole::rank, request.rank).password();
        const bool right = expected.size() == request.password.size() &&
                           ::sodium_memcmp(expected.data(), request.password.data(), expected.size()) == 0;
        wipe(expected);
        return right ? std::optional<int>(request.rank) : std::nullopt;
    }

    void refuse(int fd) {
        ++refused_;
        drop(fd);
    }

    void drop(int fd) { (void)release(fd); }

    UniqueFd release(int fd) {
        const auto found = waiting_.find(fd);
        loop_.cancel(found->second.timer);
        loop_.unwatch(fd);
        auto socket = std::move(found->second.socket);
        waiting_.erase(found);
        resume();
        return socket;
    }

    EventLoop& loop_;
    UniqueFd listener_;
    UniqueFd reserve_;  ///< for a connection to be accepted, and closed, when there is no other descriptor
    std::string path_;
    Secret run_secret_;
    int world_size_;
    OnRank on_rank_;
    std::chrono::milliseconds patience_;
    std::map<int, Connection> waiting_;  ///< accepted, and silent so far
    EventLoop::TimerId pause_timer_ = 0;
    std::uint64_t refused_ = 0;
};

tl::unexpected<std::string> failed(const std::string& path, int error) {
    return tl::unexpected(path + ": " + std::generic_category().message(error));
}

}  // namespace

std::string handover_path(const std::string& run_directory) { return run_directory + "/memory"; }

tl::expected<std::unique_ptr<HandoverServer>, std::string> HandoverServer::start(EventLoop& loop,
                                                                                 const Bootstrap& bootstrap,
                                                                                 OnRank on_rank,
                                                                                 std::chrono::milliseconds patience) {
    auto path = handover_path(bootstrap.run_directory);
    const auto address = address_of_socket(path);
    if (!address) return failed(path, ENAMETOOLONG);
    UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener.valid()) return failed(path, errno);
    if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
        ::listen(listener.get(), kBacklog) != 0) {
        return failed(path, errno);
    }
    try {
        return std::make_unique<UnixHandoverServer>(loop, std::move(listener), std::move(path), bootstrap,
                                                    std::move(on_rank), patience);
    } catch (const std::system_error& error) {
        ::unlink(address->sun_path);
        return tl::unexpected(std::string(address->sun_path) + ": " + error.what());
    }
}

}  // namespace rankexec
