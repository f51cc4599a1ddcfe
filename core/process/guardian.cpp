// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/guardian.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "rankexec/core/model/wiping.hpp"
#include "rankexec/core/process/control/control_group.hpp"
#include "rankexec/core/process/control/control_socket.hpp"
#include "rankexec/core/process/pid_namespace.hpp"
#include "rankexec/core/process/remove_tree.hpp"
#include "rankexec/core/process/supervisor.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::process {
namespace {

void complain(const std::string& what) {
    const std::string line = "rankexec-guardian: " + what + "\n";
    [[maybe_unused]] const auto size = ::write(STDERR_FILENO, line.data(), line.size());
}

/// Nothing of the host's but our own descriptors, which nobody inherits; 0, 1 and 2 are open.
bool take_descriptors() {
    ::close_range(kHostPidfd + 1, ~0U, 0);
    int nothing = ::open("/dev/null", O_RDWR);
    while (nothing >= 0 && nothing <= STDERR_FILENO) nothing = ::open("/dev/null", O_RDWR);
    if (nothing >= 0) ::close(nothing);
    int type = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(kControlSocket, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return false;
    return ::fcntl(kControlSocket, F_SETFD, FD_CLOEXEC) == 0 && ::fcntl(kHostPidfd, F_SETFD, FD_CLOEXEC) == 0;
}

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

/// On request only: a guardian has no log of its own.
void say_containment(const Supervisor::Options& options) {
    const char* wanted = std::getenv("RANKEXEC_LOG");
    const std::string_view level = wanted != nullptr ? wanted : "";
    if (level != "debug" && level != "info") return;
    const auto& group = options.control_group;
    complain("containment: " + (options.namespace_init != 0
                                    ? "PID namespace, its first process is " + std::to_string(options.namespace_init)
                                : group ? "cgroup " + group->folder()
                                        : "subreaper and run id"));
}

/// Bootstrap secrets pass through our memory: no core dump of it, and no other process looks into it.
void keep_memory_private() {
#ifndef __SANITIZE_ADDRESS__  // whose leak check looks into it from a helper
    ::prctl(PR_SET_DUMPABLE, 0);
#endif
}

class Guardian {
public:
    explicit Guardian(std::string run_directory) : host_pidfd_(kHostPidfd), run_directory_(std::move(run_directory)) {
        keep_memory_private();
        watch_requests_to_end();
        loop_.watch(host_pidfd_.get(), EPOLLIN, [this](std::uint32_t) { on_host_gone(); });
        control_.emplace(loop_, UniqueFd(kControlSocket), std::string(),
                         ControlSocket::Callbacks{[this](wire::Message&& message) { on_message(std::move(message)); },
                                                  [this](const std::string& error) { on_control_closed(error); }});
        control_->on_flushed([this] { stop_if_done(); });
    }

    int run() {
        loop_.run();
        // Nobody asked for ranks, but the host may have made the folder.
        if (!ended_) remove_run_directory();
        return exit_code_;
    }

private:
    void watch_requests_to_end() {
        sigset_t requests;
        sigemptyset(&requests);
        for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) sigaddset(&requests, signal);
        ::pthread_sigmask(SIG_BLOCK, &requests, nullptr);
        signals_.reset(::signalfd(-1, &requests, SFD_CLOEXEC | SFD_NONBLOCK));
        loop_.watch(signals_.get(), EPOLLIN, [this](std::uint32_t) {
            signalfd_siginfo info{};
            while (::read(signals_.get(), &info, sizeof info) > 0) {
            }
            if (!supervisor_) return loop_.stop();
            supervisor_->request_end(orphan_grace_);
        });
    }

    void on_message(wire::Message&& message) {
        if (ended_) return;
        if (supervisor_) return supervisor_->handle(std::move(message));
        if (auto* supervise = std::get_if<wire::Supervise>(&message)) start(std::move(*supervise));
        if (std::holds_alternative<wire::EndGroup>(message)) on_ended({});
    }

    void start(wire::Supervise&& supervise) {
        orphan_grace_ = std::chrono::milliseconds(supervise.orphan_grace_ms);
        if (!supervise.run_directory.empty()) run_directory_ = supervise.run_directory;
        Supervisor::Options options;
        options.host = host_name();
        options.graceful = supervise.graceful;
        options.forced = supervise.forced;
        options.death_signal = supervise.death_signal;
        options.log_directory = supervise.log_directory;
        options.stdin_mode = supervise.stdin_mode;
        options.forward_output = supervise.forward_output;
        options.output_credit = supervise.output_credit;
        options.marks = {"RANKEXEC_RUN_ID=" + supervise.run_id};
        options.parent_pidfd = host_pidfd_.get();
        if (!contain(supervise, options)) return on_ended({});
        say_containment(options);
        supervisor_.emplace(loop_, std::move(options),
                            Supervisor::Callbacks{[this](wire::Message&& message) { report(message); },
                                                  [this](std::vector<std::int64_t> surviving_pids) {
                                                      on_ended(std::move(surviving_pids));
                                                  }});
        if (supervise.ranks.empty()) supervisor_->start_launcher(supervise.program);
        for (auto& rank : supervise.ranks) {
            supervisor_->start_rank(supervise.program, rank);
            wipe(rank.bootstrap);
        }
        supervisor_->all_started();
    }

    bool contain(const wire::Supervise& supervise, Supervisor::Options& options) {
        if (supervise.containment != wire::Containment::pid_namespace) {
            options.control_group = ControlGroup::create(supervise.run_id);
            return true;
        }
        const auto init = enter_pid_namespace();
        if (init) {
            options.namespace_init = *init;
        } else {
            report(wire::RankNotStarted{SupervisedProcess::kLauncher, init.error().error, init.error().message});
        }
        return init.has_value();
    }

    void report(const wire::Message& message) {
        if (!control_->send(message)) complain("a report over the protocol's limits was dropped");
    }

    void on_control_closed(const std::string& error) {
        if (!error.empty()) {
            complain("the host sent no message: " + error);
            exit_code_ = 2;
        }
        on_host_gone();
    }

    void on_host_gone() {
        loop_.unwatch(host_pidfd_.get());
        control_->close();
        if (!supervisor_) return loop_.stop();
        if (ended_) return loop_.stop();
        supervisor_->stop_forwarding();
        supervisor_->request_end(orphan_grace_);
    }

    void on_ended(std::vector<std::int64_t> surviving_pids) {
        remove_run_directory();
        ended_ = true;
        report(wire::SupervisionEnded{std::move(surviving_pids)});
        stop_if_done();
    }

    void remove_run_directory() {
        if (run_directory_.empty()) return;
        const int error = remove_tree(run_directory_);
        if (error == 0 || error == ENOENT) return;
        complain("cannot remove " + run_directory_ + ": " + std::generic_category().message(error));
    }

    void stop_if_done() {
        if (ended_ && control_->flushed()) loop_.stop();
    }

    EventLoop loop_;
    UniqueFd host_pidfd_;
    UniqueFd signals_;
    std::optional<ControlSocket> control_;
    std::optional<Supervisor> supervisor_;
    std::chrono::milliseconds orphan_grace_{0};
    std::string run_directory_;
    bool ended_ = false;
    int exit_code_ = 0;
};

/// What opens /dev/tty in the background of the host's terminal would be stopped by it (termios(3)), for ever.
void give_up_terminal() {
    const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (terminal.valid()) ::ioctl(terminal.get(), TIOCNOTTY);
}

}  // namespace

int run_guardian(const std::string& run_directory) {
    give_up_terminal();
    if (!take_descriptors()) {
        complain("is started by the rankexec library, not by hand");
        return 2;
    }
    Guardian guardian(run_directory);
    return guardian.run();
}

}  // namespace rankexec::process
