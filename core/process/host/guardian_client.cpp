// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/host/guardian_client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <system_error>
#include <utility>

#include "rankexec/core/process/control/control_group.hpp"
#include "rankexec/core/process/control/control_socket.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec {
namespace {

using process::ControlSocket;
using std::chrono::milliseconds;

/// Descriptors of a guardian; guardian.hpp has the other side of this.
constexpr int kControlSocket = 3;
constexpr int kHostPidfd = 4;

/// How long the destructor lets a guardian end its group in order.
constexpr milliseconds kForcedEndTime{4000};

Failure launch_failure(const std::string& what, int error) {
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = "cannot start rankexec-guardian: " + what + ": " + std::generic_category().message(error);
    if (error == EMFILE || error == ENFILE) failure.message += "; raise the limit of open files (ulimit -n)";
    if (error == EAGAIN) failure.message += "; raise the limit of processes (ulimit -u)";
    return failure;
}

UniqueFd open_pidfd(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

/// A copy above every number that the guardian's descriptors are put on: dup2 then never meets a
/// source that it has just overwritten, and never keeps a close-on-exec flag by being a no-op.
UniqueFd moved_up(const UniqueFd& fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kHostPidfd + 1)); }

/// posix_spawn's attributes and file actions, freed in the end.
class SpawnPlan {
public:
    SpawnPlan(int control, int host_pidfd, bool own_session) {
        ::posix_spawn_file_actions_init(&actions_);
        ::posix_spawnattr_init(&attributes_);
        ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        ::posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        ::posix_spawn_file_actions_adddup2(&actions_, control, kControlSocket);
        ::posix_spawn_file_actions_adddup2(&actions_, host_pidfd, kHostPidfd);
        ::posix_spawn_file_actions_addclosefrom_np(&actions_, kHostPidfd + 1);
        // Hosts block and ignore signals; the ranks would inherit that.
        sigset_t signals;
        sigemptyset(&signals);
        ::posix_spawnattr_setsigmask(&attributes_, &signals);
        sigfillset(&signals);
        ::posix_spawnattr_setsigdefault(&attributes_, &signals);
        const int place = own_session ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP;
        ::posix_spawnattr_setflags(&attributes_,
                                   static_cast<short>(place | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
    }
    ~SpawnPlan() {
        ::posix_spawn_file_actions_destroy(&actions_);
        ::posix_spawnattr_destroy(&attributes_);
    }
    SpawnPlan(const SpawnPlan&) = delete;
    SpawnPlan& operator=(const SpawnPlan&) = delete;

    [[nodiscard]] int spawn(pid_t& pid, const std::string& program, const std::string& run_directory) const {
        std::array<char*, 3> argv{const_cast<char*>("rankexec-guardian"), const_cast<char*>(run_directory.c_str()),
                                  nullptr};
        return ::posix_spawn(&pid, program.c_str(), &actions_, &attributes_, argv.data(), ::environ);
    }

private:
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

struct GuardianProcess {
    pid_t pid = 0;
    UniqueFd pidfd;
    UniqueFd control;
};

/// Without its control socket a guardian that supervises nothing yet ends at once.
void discard(GuardianProcess& guardian) {
    guardian.control.reset();
    while (::waitpid(guardian.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
}

tl::expected<GuardianProcess, Failure> spawn_guardian(const std::string& run_directory, bool own_session) {
    auto program = find_program("rankexec-guardian");
    if (!program) return tl::make_unexpected(std::move(program.error()));
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
        return tl::make_unexpected(launch_failure("no socket pair", errno));
    }
    GuardianProcess guardian;
    guardian.control.reset(ends[0]);
    const UniqueFd peer(ends[1]);
    const UniqueFd self = open_pidfd(::getpid());
    if (!self.valid()) return tl::make_unexpected(launch_failure("no pidfd of this process", errno));
    const UniqueFd peer_copy = moved_up(peer);
    if (!peer_copy.valid()) return tl::make_unexpected(launch_failure("no descriptor", errno));
    const UniqueFd self_copy = moved_up(self);
    if (!self_copy.valid()) return tl::make_unexpected(launch_failure("no descriptor", errno));
    const SpawnPlan plan(peer_copy.get(), self_copy.get(), own_session);
    const int error = plan.spawn(guardian.pid, *program, run_directory);
    if (error != 0) return tl::make_unexpected(launch_failure(*program, error));
    guardian.pidfd = open_pidfd(guardian.pid);
    if (!guardian.pidfd.valid()) {
        const int reason = errno;
        discard(guardian);
        return tl::make_unexpected(launch_failure("no pidfd of it", reason));
    }
    return guardian;
}

/// What a guardian that was killed had contained: kills it, and removes the group once it is empty.
void clear_control_group(EventLoop& loop, const std::string& run_id, int attempts = 50) {
    const auto group = process::ControlGroup::find(run_id);
    if (!group) return;
    group->kill();
    if (group->remove() || attempts == 0) return;
    constexpr milliseconds kPause{10};
    loop.call_after(kPause, [&loop, run_id, attempts] { clear_control_group(loop, run_id, attempts - 1); });
}

class SpawnedGuardian final : public GuardianClient {
public:
    /// Throws std::system_error when the descriptors cannot be watched.
    SpawnedGuardian(EventLoop& loop, GuardianProcess process, const std::string& run_id, Callbacks callbacks)
        : loop_(loop),
          owner_(::getpid()),
          pid_(process.pid),
          pidfd_(std::move(process.pidfd)),
          run_id_(run_id),
          callbacks_(std::move(callbacks)),
          control_(std::make_unique<ControlSocket>(
              loop, std::move(process.control), run_id,
              ControlSocket::Callbacks{[this](wire::Message&& message) { on_message(std::move(message)); },
                                       [this](const std::string& error) { on_closed(error); }})) {
        try {
            loop_.watch(pidfd_.get(), EPOLLIN, [this](std::uint32_t) { on_exit(); });
        } catch (...) {
            kill();
            reap(0);
            throw;
        }
    }

    ~SpawnedGuardian() override {
        if (::getpid() != owner_) {
            // Forked: the socket and the epoll set are the parent's as well; touching them would end
            // its group.
            static_cast<void>(control_.release());
            static_cast<void>(pidfd_.release());
            return;
        }
        if (gone_) return;
        callbacks_ = {};
        loop_.unwatch(pidfd_.get());
        end_by_force();
        kill();
        reap(0);
    }

    void kill() override { ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0); }

    bool send(const wire::Message& message) override {
        if (gone_ || control_->send(message)) return true;
        log::error("a message to the guardian is over the protocol's limits");
        return false;
    }
    [[nodiscard]] pid_t pid() const override { return pid_; }

private:
    void on_message(wire::Message&& message) {
        if (std::holds_alternative<wire::SupervisionEnded>(message)) ended_ = true;
        if (callbacks_.on_message) callbacks_.on_message(std::move(message));
    }

    void on_closed(const std::string& error) {
        // End of file alone means nothing: the pidfd says when it is gone.
        if (error.empty()) return;
        log::error("the guardian sent no message: " + error);
        kill();
    }

    void on_exit() {
        loop_.unwatch(pidfd_.get());
        control_->drain();
        control_->close();
        reap(WNOHANG);
        gone_ = true;
        if (!ended_) clear_control_group(loop_, run_id_);
        if (const auto on_gone = std::move(callbacks_.on_gone)) on_gone(ended_);
    }

    /// Lets the guardian end everything now, and waits for that a bounded time.
    void end_by_force() {
        const auto deadline = EventLoop::Clock::now() + kForcedEndTime;
        control_->send(wire::EndGroup{0});
        for (;;) {
            const auto left = std::chrono::ceil<milliseconds>(deadline - EventLoop::Clock::now());
            if (left.count() <= 0 || control_->closed()) break;
            control_->serve_once(left);
        }
        pollfd exit{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
        const auto left = std::chrono::ceil<milliseconds>(deadline - EventLoop::Clock::now());
        if (left.count() > 0) ::poll(&exit, 1, static_cast<int>(left.count()));
    }

    /// ECHILD is as good as success: the host ignores SIGCHLD, or waits for any child.
    void reap(int flags) {
        siginfo_t info{};
        while (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED | flags) != 0 &&
               errno == EINTR) {
        }
    }

    EventLoop& loop_;
    pid_t owner_;
    pid_t pid_;
    UniqueFd pidfd_;
    std::string run_id_;
    Callbacks callbacks_;
    bool ended_ = false;
    bool gone_ = false;
    std::unique_ptr<ControlSocket> control_;
};

}  // namespace

tl::expected<std::unique_ptr<GuardianClient>, Failure> GuardianClient::start(EventLoop& loop, const std::string& run_id,
                                                                             const std::string& run_directory,
                                                                             Place place, Callbacks callbacks) {
    auto process = spawn_guardian(run_directory, place == Place::own_session);
    if (!process) return tl::make_unexpected(std::move(process.error()));
    try {
        return std::make_unique<SpawnedGuardian>(loop, std::move(*process), run_id, std::move(callbacks));
    } catch (const std::system_error& error) {
        return tl::make_unexpected(launch_failure(error.what(), error.code().value()));
    }
}

}  // namespace rankexec
