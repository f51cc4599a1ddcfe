// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/signal_source.hpp"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

namespace rankexec::cli {
namespace {

sigset_t set_of(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals) sigaddset(&set, signal);
    return set;
}

}  // namespace

void block_signals(std::initializer_list<int> signals) {
    const auto set = set_of(signals);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

SignalSource::SignalSource(EventLoop& loop, std::initializer_list<int> signals, std::function<void(int)> on_signal)
    : loop_(loop), on_signal_(std::move(on_signal)) {
    const auto set = set_of(signals);
    block_signals(signals);
    fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd_.valid()) throw std::system_error(errno, std::generic_category(), "signalfd");
    loop_.watch(fd_.get(), EPOLLIN, [this](std::uint32_t) { read_signals(); });
}

SignalSource::~SignalSource() { loop_.unwatch(fd_.get()); }

void SignalSource::read_signals() {
    signalfd_siginfo info{};
    while (::read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
        on_signal_(static_cast<int>(info.ssi_signo));
    }
}

void ignore_terminal_signals() {
    struct sigaction action {};
    action.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &action, nullptr);
    block_signals({SIGTTIN});
}

void reap_as_first_process() {
    if (::getpid() != 1) return;
    struct sigaction action {};
    action.sa_handler = SIG_IGN;
    ::sigaction(SIGCHLD, &action, nullptr);
    // What ended before that, under a program that became this one.
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
}

bool is_ignored(int signal) noexcept {
    struct sigaction action {};
    return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

void stop_this_process() {
    const auto stop = set_of({SIGTSTP});
    ::kill(::getpid(), SIGTSTP);
    ::pthread_sigmask(SIG_UNBLOCK, &stop, nullptr);
    ::pthread_sigmask(SIG_BLOCK, &stop, nullptr);
    // Whoever continued us sent SIGCONT, which is blocked and stays pending. Without it nobody did, so
    // there was no stop: the process group is orphaned.
    sigset_t pending;
    sigpending(&pending);
    if (sigismember(&pending, SIGCONT) == 0) ::kill(::getpid(), SIGSTOP);
}

}  // namespace rankexec::cli
