// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/sweep.hpp"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace rankexec::process {
namespace {

using std::chrono::milliseconds;

/// While something lives that was signalled, its children of the last moment make no event: look.
constexpr milliseconds kFirstPause{5};
constexpr milliseconds kLongestPause{100};
/// A process between two programs has no environment for some microseconds.
constexpr milliseconds kUncertainPause{3};
constexpr int kUncertainLooks = 3;
/// More than this many processes at once are signalled, but only looks tell that they ended.
constexpr std::size_t kHeldPidfds = 512;

int open_pidfd(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

/// A process group's kill reaches the children of a fork loop, which are over before anybody could
/// look them up. The groups of our descendants hold nobody else, because our session began with us;
/// of others that is known only of groups whose leader was recognised.
void kill_groups(const std::vector<ProcessInfo>& processes) {
    const pid_t own = ::getpgrp();
    std::set<pid_t> done{own};
    for (const auto& member : processes) {
        if (done.contains(member.group) || (!member.descendant && member.pid != member.group)) continue;
        const auto now = read_process(member.pid);
        if (!now || now->start_time != member.start_time || now->group != member.group) continue;
        ::kill(-member.group, SIGKILL);
        done.insert(member.group);
    }
}

void send_signal(int pidfd, int signal) { ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0); }

}  // namespace

Sweep::Sweep(EventLoop& loop, Belonging belonging, std::function<bool()> before_look)
    : loop_(loop), belonging_(std::move(belonging)), before_look_(std::move(before_look)) {}

Sweep::~Sweep() { cancel(); }

void Sweep::start(Plan plan, OnDone on_done) {
    cancel();
    plan_ = std::move(plan);
    on_done_ = std::move(on_done);
    pause_ = kFirstPause;
    uncertain_looks_ = 0;
    if (plan_.time.count() >= 0) {
        end_timer_ = loop_.call_after(plan_.time, [this] {
            end_timer_ = 0;
            time_over();
        });
    }
    request_look();
}

void Sweep::cancel() {
    release_held();
    loop_.cancel(look_timer_);
    loop_.cancel(end_timer_);
    look_timer_ = end_timer_ = 0;
    on_done_ = nullptr;
}

void Sweep::request_look() {
    loop_.cancel(look_timer_);
    look_timer_ = loop_.call_after(milliseconds(0), [this] { look(); });
}

void Sweep::look() {
    look_timer_ = 0;
    bool forks = before_look_();
    if (!on_done_) return;
    const auto found = find_processes(belonging_, plan_.excepted);
    if (plan_.signal == SIGKILL) kill_groups(found.processes);
    for (const auto& info : found.processes) {
        const auto known = held_.find(info.pid);
        if (known == held_.end() || known->second.info.start_time != info.start_time) hold(info);
    }
    std::erase_if(held_, [&](const auto& entry) {
        if (entry.second.pidfd.valid()) return false;
        return std::none_of(found.processes.begin(), found.processes.end(),
                            [&](const ProcessInfo& info) { return info.pid == entry.first; });
    });
    if (!held_.empty()) {
        const bool ends_tell =
            std::all_of(held_.begin(), held_.end(), [](const auto& entry) { return entry.second.pidfd.valid(); });
        if (plan_.signal == 0 && ends_tell) return;
        look_timer_ = loop_.call_after(pause_, [this] { look(); });
        pause_ = std::min(2 * pause_, kLongestPause);
        return;
    }
    // One that ended while we looked may have forked after the list of processes was made.
    forks = before_look_() || forks;
    if (!on_done_) return;
    if (forks || (found.uncertain && uncertain_looks_++ < kUncertainLooks)) {
        look_timer_ = loop_.call_after(kUncertainPause, [this] { look(); });
        return;
    }
    finish({});
}

void Sweep::hold(const ProcessInfo& info) {
    Held held{info, UniqueFd(open_pidfd(info.pid))};
    // The pid may have passed to another process before the pidfd was opened; afterwards it cannot.
    const auto now = read_process(info.pid);
    if (!now || now->start_time != info.start_time || now->dead) return;
    release(info.pid);
    signal(held);
    if (held.pidfd.valid() && held_.size() >= kHeldPidfds) held.pidfd.reset();
    if (held.pidfd.valid()) {
        const int fd = held.pidfd.get();
        loop_.watch(fd, EPOLLIN, [this, pid = info.pid](std::uint32_t) {
            release(pid);
            if (held_.empty()) request_look();
        });
    }
    held_.insert_or_assign(info.pid, std::move(held));
}

void Sweep::kill_kin(pid_t ended) {
    const auto zombie = read_process(ended);
    if (zombie && zombie->group != ::getpgrp()) ::kill(-zombie->group, SIGKILL);
    // A chain of forks in ever new sessions leaves its last group at once; but pids are given in order.
    constexpr pid_t kNextPids = 8;
    for (pid_t pid = ended + 1; pid <= ended + kNextPids; ++pid) {
        const UniqueFd pidfd(open_pidfd(pid));
        if (!pidfd.valid()) continue;
        const auto info = read_process(pid);
        if (info && (info->parent == ::getpid() || info->parent == ended)) send_signal(pidfd.get(), SIGKILL);
    }
}

void Sweep::signal(const Held& held) const {
    if (plan_.signal == 0) return;
    const auto send = [&](int signal) {
        if (held.pidfd.valid()) {
            send_signal(held.pidfd.get(), signal);
        } else {
            ::kill(held.info.pid, signal);
        }
    };
    send(plan_.signal);
    // A stopped process gets nothing but SIGKILL until it goes on.
    if (plan_.signal != SIGKILL) send(SIGCONT);
}

void Sweep::time_over() {
    before_look_();
    if (!on_done_) return;
    finish(find_processes(belonging_, plan_.excepted).processes);
}

void Sweep::finish(std::vector<ProcessInfo> left) {
    auto on_done = std::move(on_done_);
    cancel();
    on_done(std::move(left));
}

void Sweep::release(pid_t pid) {
    const auto held = held_.find(pid);
    if (held == held_.end()) return;
    if (held->second.pidfd.valid()) loop_.unwatch(held->second.pidfd.get());
    held_.erase(held);
}

void Sweep::release_held() {
    while (!held_.empty()) release(held_.begin()->first);
}

}  // namespace rankexec::process
