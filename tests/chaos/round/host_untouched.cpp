// SPDX-License-Identifier: Apache-2.0
// Hosts that use the process as they like: they ignore SIGCHLD, block signals, wait for any child, fork
// without exec, hold much memory. Groups work in them, and of the process nothing is changed.
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <mutex>
#include <thread>

#include "rankexec/core/component/engine.hpp"
#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

namespace fs = std::filesystem;

constexpr int kChildsCode = 42;

/// What belongs to the host application, in words.
std::vector<std::string> properties() {
    std::vector<std::string> all;
    for (int signal = 1; signal < NSIG; ++signal) {
        struct sigaction action {};
        if (::sigaction(signal, nullptr, &action) != 0) continue;
        const auto handler = reinterpret_cast<std::uintptr_t>(action.sa_handler);
        all.push_back("signal " + std::to_string(signal) + " handler " + std::to_string(handler) + " flags " +
                      std::to_string(action.sa_flags));
    }
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    for (int signal = 1; signal < NSIG; ++signal) {
        if (sigismember(&mask, signal) == 1) all.push_back("blocks signal " + std::to_string(signal));
    }
    int subreaper = 0;
    ::prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
    all.push_back("subreaper " + std::to_string(subreaper));
    int death_signal = 0;
    ::prctl(PR_GET_PDEATHSIG, &death_signal);
    all.push_back("death signal " + std::to_string(death_signal));
    all.push_back("dumpable " + std::to_string(::prctl(PR_GET_DUMPABLE)));
    const auto mode = ::umask(0);
    ::umask(mode);
    all.push_back("umask " + std::to_string(mode));
    all.push_back("directory " + fs::current_path().string());
    all.push_back("session " + std::to_string(::getsid(0)) + " group " + std::to_string(::getpgrp()));
    for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
        std::error_code gone;  // that of this very list
        const auto target = fs::read_symlink(entry.path(), gone);
        if (!gone && !target.string().starts_with("/proc/")) {
            all.push_back("descriptor " + entry.path().filename().string() + " " + target.string());
        }
    }
    for (const auto& entry : fs::directory_iterator("/proc/self/task")) {
        all.push_back("thread " + entry.path().filename().string());
    }
    return all;
}

std::string difference(const std::vector<std::string>& before, const std::vector<std::string>& after) {
    const std::set<std::string> old(before.begin(), before.end());
    const std::set<std::string> now(after.begin(), after.end());
    std::string text;
    for (const auto& property : old) {
        if (!now.contains(property)) text += (text.empty() ? "" : "; ") + ("no longer: " + property);
    }
    for (const auto& property : now) {
        if (!old.contains(property)) text += (text.empty() ? "" : "; ") + ("new: " + property);
    }
    return text;
}

/// A child of the host's own that ends when it gets a signal, or at once.
pid_t make_child(bool at_once) {
    const auto pid = ::fork();
    if (pid != 0) return pid;
    if (at_once) ::_exit(kChildsCode);
    // No handler: the thread sanitizer calls none while a copy of several threads' process sleeps.
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGUSR1);
    ::pthread_sigmask(SIG_SETMASK, &awaited, nullptr);
    int signal = 0;
    ::sigwait(&awaited, &signal);
    ::_exit(kChildsCode);
}

/// A thread of the host that waits for any child, as some frameworks do.
class AnyChildWaiter {
public:
    void start() {
        thread_ = std::thread([this] {
            for (;;) {
                int status = 0;
                const auto pid = ::waitpid(-1, &status, 0);
                if (pid < 0 && errno == ECHILD) return;  // the host's own child outlives everything else
                if (pid > 0) {
                    const std::lock_guard lock(mutex_);
                    seen_[pid] = status;
                }
            }
        });
    }
    void join() {
        if (thread_.joinable()) thread_.join();
    }
    /// The status of that child; nothing when it was not this thread that got it. After join().
    std::optional<int> status_of(pid_t pid) {
        const auto found = seen_.find(pid);
        return found == seen_.end() ? std::nullopt : std::optional(found->second);
    }

private:
    std::thread thread_;
    std::mutex mutex_;
    std::map<pid_t, int> seen_;
};

/// Signals that hosts block, or handle, or ignore.
void take_habits(const std::string& variant) {
    if (variant == "ignores_sigchld") std::signal(SIGCHLD, SIG_IGN);
    if (variant == "handles_signals") {
        for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGPIPE, SIGHUP}) std::signal(signal, [](int) {});
    }
    if (variant == "blocks_signals") {
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
        for (const int signal : {SIGPIPE, SIGHUP, SIGTERM}) std::signal(signal, SIG_IGN);
    }
    ::umask(0027);
}

std::string use_group(rankexec::Engine& engine, rankexec::MultiProcessExecutor& executor, bool forks,
                      std::vector<pid_t>& copies, double& launch_ms) {
    auto context = engine.new_context();
    const auto begin = Clock::now();
    if (const auto ready = executor.initialise(context); !ready) return ready.error().describe();
    launch_ms = milliseconds_since(begin);
    // A copy of the host, with all its descriptors, that outlives the group.
    if (forks) copies.push_back(make_child(false));
    const auto reply = executor.execute("work", {}, context, {});
    if (!reply.ok()) return reply.failure ? reply.failure->describe() : "the task failed";
    engine.fire_event("chaos", context);
    executor.finalise();
    return {};
}

std::string end_child(pid_t pid, const std::string& what, bool signal) {
    if (signal && ::kill(pid, SIGUSR1) != 0) return what + " is gone";
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid) return what + " was taken from the host";
    if (!WIFEXITED(status) || WEXITSTATUS(status) != kChildsCode) return what + " did not end as it should";
    return {};
}

}  // namespace

Outcome host_untouched(const RoundOptions& round) {
    const bool ignores = round.variant == "ignores_sigchld";
    const bool waits = round.variant == "waits_for_any";
    Outcome outcome;
    std::vector<std::byte> memory;
    if (round.variant == "holds_memory") memory.resize(std::size_t{1} << 30U, std::byte{1});
    take_habits(round.variant);
    const auto sleeping = make_child(false);
    const auto ended = ignores ? 0 : make_child(true);
    std::vector<pid_t> copies;
    const Surroundings before;
    // With the first thread of a program comes the thread sanitizer's own.
    std::thread([] {}).join();
    const auto properties_before = properties();
    AnyChildWaiter waiter;
    if (waits) waiter.start();
    {
        rankexec::Engine engine;
        auto& executor = static_cast<rankexec::MultiProcessExecutor&>(
            engine.add("group", std::make_unique<rankexec::MultiProcessExecutor>(group_options(round))));
        for (int group = 0; group < 2 && outcome.wrong.empty(); ++group) {
            outcome.wrong = use_group(engine, executor, round.variant == "forks", copies,
                                      outcome.figures["launch_" + std::to_string(group + 1) + "_ms"]);
        }
    }
    for (const auto pid : copies) {
        const auto wrong = end_child(pid, "a copy of the host", true);
        if (outcome.wrong.empty()) outcome.wrong = wrong;
    }
    if (waits) {
        ::kill(sleeping, SIGUSR1);
        waiter.join();
        for (const auto pid : {sleeping, ended}) {
            const auto status = waiter.status_of(pid);
            if (!status || !WIFEXITED(*status) || WEXITSTATUS(*status) != kChildsCode) {
                outcome.wrong = "the host did not get the end of its child";
            }
        }
    }
    if (outcome.wrong.empty()) outcome.wrong = difference(properties_before, properties());
    if (!waits) {
        if (outcome.wrong.empty() && before.wait_until_clean(milliseconds(1000)) < 0) {
            outcome.wrong = "left: " + joined(before.new_since());
        }
        auto wrong = ignores ? std::string() : end_child(ended, "the host's ended child", false);
        if (outcome.wrong.empty()) outcome.wrong = wrong;
        if (ignores) {
            if (::kill(sleeping, SIGUSR1) != 0) outcome.wrong = "the host's child is gone";
            while (::waitpid(-1, nullptr, 0) > 0) {
            }
        } else {
            wrong = end_child(sleeping, "the host's child", true);
            if (outcome.wrong.empty()) outcome.wrong = wrong;
        }
    }
    return outcome;
}

}  // namespace chaos
