// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/agent/shell/agent_server.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <system_error>
#include <thread>
#include <utility>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/exchange/program_log.hpp"
#include "rankexec/worker/agent/shell/shell_connection.hpp"
#include "rankexec/worker/agent/shell/shell_message.hpp"
#include "rankexec/worker/agent/shell/shell_tasks.hpp"

namespace rankexec::agent {
namespace {

using shell::outcome_of;
using shell::ShellConnection;
using shell::ShellTasks;
namespace outcome = shell::outcome;

constexpr std::size_t kMostConnections = 64;
constexpr int kBacklog = 64;
/// When descriptors have run out, which no event tells the end of.
constexpr std::chrono::milliseconds kPause{200};

std::string reason() { return std::generic_category().message(errno); }

/// Listens; the mode keeps others away even where the folder does not.
tl::expected<UniqueFd, std::string> listen_at(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        return tl::unexpected(path + " is too long for a socket; set TMPDIR to a shorter folder");
    }
    std::memcpy(address.sun_path, path.c_str(), path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return tl::unexpected("socket: " + reason());
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::chmod(path.c_str(), 0600) != 0 || ::listen(fd.get(), kBacklog) != 0) {
        return tl::unexpected(path + ": " + reason());
    }
    return fd;
}

bool is_ours(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == ::geteuid();
}

class SocketServer final : public AgentServer {
public:
    SocketServer(std::unique_ptr<Agent> agent, UniqueFd listener, std::string path)
        : agent_(std::move(agent)), listener_(std::move(listener)), path_(std::move(path)), tasks_(loop_, *agent_) {
        listen();
        thread_ = std::thread([this] { loop_.run(); });
    }
    ~SocketServer() override { close(); }

    Agent& agent() override { return *agent_; }

    void close() override {
        if (std::exchange(closed_, true)) return;
        agent_->close();
        tasks_.stop();
        loop_.stop();
        thread_.join();
        connections_.clear();
        loop_.unwatch(listener_.get());
        listener_.reset();
        ::unlink(path_.c_str());
    }

private:
    using Id = ShellTasks::Caller;

    void listen() {
        if (std::exchange(listening_, true)) return;
        loop_.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept(); });
    }

    void accept() {
        // More wait in the listener's queue, or to get into it, until others have gone.
        while (true) {
            if (connections_.size() >= kMostConnections) {
                listening_ = false;
                return loop_.unwatch(listener_.get());
            }
            UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
            if (!fd.valid() && (errno == EINTR || errno == ECONNABORTED)) continue;
            if (!fd.valid() && errno != EAGAIN) {
                log::warning("rankexec agent: accept: " + reason());
                listening_ = false;
                loop_.unwatch(listener_.get());
                loop_.call_after(kPause, [this] { listen(); });
            }
            if (!fd.valid()) return;
            if (is_ours(fd.get())) add(std::move(fd));
        }
    }

    void add(UniqueFd fd) {
        const Id id = next_id_++;
        ShellConnection::Callbacks callbacks;
        callbacks.on_message = [this, id](PipeMessage&& message) { on_message(id, std::move(message)); };
        callbacks.on_gone = [this, id] { drop(id); };
        try {
            connections_.emplace(id, std::make_unique<ShellConnection>(loop_, std::move(fd), std::move(callbacks)));
        } catch (const std::system_error& error) {
            log::warning(std::string("rankexec agent: ") + error.what());
        }
    }

    void drop(Id id) {
        connections_.erase(id);
        tasks_.gone(id);
        listen();
    }

    void on_message(Id id, PipeMessage&& message) {
        auto answer = [this, id, head = PipeMessage{message.kind, message.topic, message.id, message.request_id, {}}](
                          Shareable content) { reply(id, head, std::move(content)); };
        if (message.topic == shell::kGetTask) {
            std::optional<Milliseconds> timeout;
            if (const auto* given = message.content.header(shell::kTimeoutHeader)) {
                timeout = Milliseconds(given->integer_or(0));
            }
            tasks_.get_task(id, timeout, std::move(answer));
        } else if (message.topic == shell::kTaken) {
            const bool taken = tasks_.taken(id);
            answer(taken ? outcome_of(outcome::kOk) : outcome_of(outcome::kError, "there was no task to take"));
        } else if (message.topic == shell::kSubmitResult) {
            tasks_.submit(std::move(message.content), std::move(answer));
        } else if (message.topic == shell::kLog) {
            on_log(message, std::move(answer));
        } else {
            answer(outcome_of(outcome::kError, "no request is called " + message.topic));
        }
    }

    void on_log(const PipeMessage& message, ShellTasks::Answer answer) {
        auto log = exchange::ProgramLog::from_message(message);
        if (!log) return answer(outcome_of(outcome::kError, log.error()));
        tasks_.log(std::move(log->figures), std::move(log->type), std::move(answer));
    }

    void reply(Id id, const PipeMessage& request, Shareable content) {
        const auto found = connections_.find(id);
        if (found == connections_.end()) return;
        auto pieces = shell::to_pieces(PipeMessage::reply_to(request, std::move(content)));
        if (!pieces)
            pieces = shell::to_pieces(PipeMessage::reply_to(request, outcome_of(outcome::kError, pieces.error())));
        if (pieces) found->second->send(std::move(*pieces));
    }

    const std::unique_ptr<Agent> agent_;
    UniqueFd listener_;
    const std::string path_;
    EventLoop loop_;
    ShellTasks tasks_;
    std::map<Id, std::unique_ptr<ShellConnection>> connections_;
    Id next_id_ = 1;
    bool listening_ = false;
    bool closed_ = false;
    std::thread thread_;
};

}  // namespace

tl::expected<std::unique_ptr<AgentServer>, std::string> AgentServer::start(std::unique_ptr<Agent> agent,
                                                                           const std::string& socket) {
    auto listener = listen_at(socket);
    if (!listener) return tl::unexpected(listener.error());
    try {
        return std::make_unique<SocketServer>(std::move(agent), std::move(*listener), socket);
    } catch (const std::system_error& error) {
        ::unlink(socket.c_str());
        return tl::unexpected(std::string(error.what()) + "; raise the limits of threads and open files");
    }
}

}  // namespace rankexec::agent
