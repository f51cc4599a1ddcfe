// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/child_reaper.hpp"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace rankexec::process {
namespace {

/// A fork loop hands a subreaper thousands of children: the loop's other work gets its turn between.
constexpr int kChildrenPerTurn = 256;

ExitStatus status_of(const siginfo_t& info) {
    return ExitStatus{.signalled = info.si_code != CLD_EXITED, .number = info.si_status};
}

/// Reports and reaps one ended child, of all or the one of that pid; false when there is none.
bool reap_one(const ChildReaper::OnExit& on_exit, idtype_t which = P_ALL, id_t pid = 0) {
    siginfo_t info{};
    if (::waitid(which, pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return false;
    on_exit(info.si_pid, status_of(info));
    siginfo_t reaped{};
    ::waitid(P_PID, static_cast<id_t>(info.si_pid), &reaped, WEXITED | WNOHANG);
    return true;
}

}  // namespace

ChildReaper::ChildReaper(EventLoop& loop, OnExit on_exit) : loop_(loop), on_exit_(std::move(on_exit)) {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    ::pthread_sigmask(SIG_BLOCK, &child, nullptr);
    signals_.reset(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_.valid()) throw std::system_error(errno, std::generic_category(), "signalfd");
    loop_.watch(signals_.get(), EPOLLIN, [this](std::uint32_t) { on_signal(); });
}

ChildReaper::~ChildReaper() { loop_.unwatch(signals_.get()); }

void ChildReaper::on_signal() {
    // Emptied before the children are looked at: one that ends in between makes it readable again.
    signalfd_siginfo info{};
    for (int count = 0; count < kChildrenPerTurn; ++count) {
        if (::read(signals_.get(), &info, sizeof info) <= 0) break;
        // Pending SIGCHLDs are merged into the first one, which names the child that ended first; waitid would go by
        // the order of their starts, and the order of deaths tells causes from consequences.
        if (info.ssi_pid != 0) reap_one(on_exit_, P_PID, info.ssi_pid);
    }
    for (int count = 0; count < kChildrenPerTurn; ++count) {
        if (!reap_one(on_exit_)) return;
    }
    loop_.post([this] { on_signal(); });
}

void ChildReaper::collect() {
    for (int count = 0; count < kChildrenPerTurn && reap_one(on_exit_); ++count) {
    }
}

}  // namespace rankexec::process
