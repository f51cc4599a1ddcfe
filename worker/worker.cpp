// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/worker.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "rankexec/core/model/wiping.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/worker/crash_report.hpp"
#include "rankexec/worker/parent_watch.hpp"
#include "rankexec/worker/rank_runtime.hpp"

namespace rankexec::worker {
namespace {

constexpr int kNotLaunched = 2;

/// User code gets this long to return once the parent is gone; the guardian's own grace is no shorter.
constexpr std::chrono::milliseconds kOrphanGrace{300};

/// The integer in an environment variable, which is then removed: what this process starts itself
/// must not take it for its own.
std::optional<int> take_number(const char* name) {
    const char* text = std::getenv(name);
    if (text == nullptr) return std::nullopt;
    int number = 0;
    const auto* end = text + std::strlen(text);
    const auto [stopped, error] = std::from_chars(text, end, number);
    const bool good = error == std::errc() && stopped == end;
    ::unsetenv(name);
    return good ? std::optional(number) : std::nullopt;
}

tl::expected<Bootstrap, std::string> read_bootstrap(int fd) {
    const UniqueFd owner(fd);
    std::array<char, 4096> buffer{};
    std::string text;
    text.reserve(buffer.size());
    for (;;) {
        const auto size = ::read(fd, buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0)
            return tl::unexpected(std::string("bootstrap descriptor: ") + std::generic_category().message(errno));
        if (size == 0) break;
        text.append(buffer.data(), static_cast<std::size_t>(size));
    }
    auto bootstrap = Bootstrap::from_text(text);
    ::explicit_bzero(buffer.data(), buffer.size());
    wipe(text);
    wipe_scratch();
    return bootstrap;
}

/// A rank whose peer has gone gets EPIPE from its next write, as an error that its code can report, and does
/// not die of a signal that would look like the cause. A handler, unlike SIG_IGN, is not inherited by what
/// user code starts.
void let_broken_connections_be_errors() {
    struct sigaction present {};
    if (::sigaction(SIGPIPE, nullptr, &present) != 0 || (present.sa_flags & SA_SIGINFO) != 0) return;
    if (present.sa_handler != SIG_DFL) return;
    struct sigaction action {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGPIPE, &action, nullptr);
}

}  // namespace

int run(const ComponentRegistry& registry) {
    const auto bootstrap_fd = take_number("RANKEXEC_BOOTSTRAP_FD");
    if (!bootstrap_fd) {
        std::fputs(
            "This is a rankexec worker: it is started by its parent, one per rank, and not by hand.\n"
            "Name it as `worker` in a job file and start that with `rankexec run JOB.toml`.\n",
            stderr);
        return kNotLaunched;
    }
    auto bootstrap = read_bootstrap(*bootstrap_fd);
    if (!bootstrap || bootstrap->rank < 0) {
        std::fprintf(stderr, "rankexec worker: %s\n",
                     bootstrap ? "the bootstrap is not a rank's" : bootstrap.error().c_str());
        return kNotLaunched;
    }
    log::set_role("rank " + std::to_string(bootstrap->rank));
    const char* local_rank = std::getenv("LOCAL_RANK");

    let_broken_connections_be_errors();
    std::optional<CrashReport> crash_report;
    if (stacks_wanted()) crash_report.emplace();
    RankRuntime runtime(registry, *bootstrap, local_rank != nullptr ? std::atoi(local_rank) : bootstrap->rank);
    std::unique_ptr<ParentWatch> watch;
    if (const auto pidfd = take_number("RANKEXEC_PARENT_PIDFD")) {
        ::fcntl(*pidfd, F_SETFD, FD_CLOEXEC);
        watch = std::make_unique<ParentWatch>(*pidfd, kOrphanGrace, [&runtime] { runtime.end("the parent is gone"); });
    }
    return runtime.run();
}

}  // namespace rankexec::worker
