// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/pid_namespace.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <string_view>
#include <system_error>

#include "rankexec/core/system/unique_fd.hpp"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

namespace rankexec::process {
namespace {

StartError not_permitted(const std::string& step, int error) {
    return {error, "cannot contain the group in a PID namespace (pidns): " + step + ": " +
                       std::generic_category().message(error) +
                       "; it takes root (CAP_SYS_ADMIN), or user namespaces for ordinary users: see sysctl "
                       "user.max_user_namespaces, kernel.unprivileged_userns_clone and "
                       "kernel.apparmor_restrict_unprivileged_userns, and in a container its seccomp profile; or do "
                       "without this containment"};
}

/// An errno; 0: written.
int write_text(const char* file, std::string_view text) {
    const UniqueFd target(::open(file, O_WRONLY | O_CLOEXEC));
    if (!target.valid()) return errno;
    return ::write(target.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : errno;
}

/// Our user and group keep their numbers. The kernel wants setgroups to be given up for that.
int map_identity(uid_t user, gid_t group) {
    const auto line = [](unsigned id) { return std::to_string(id) + " " + std::to_string(id) + " 1\n"; };
    int error = write_text("/proc/self/setgroups", "deny");
    if (error == 0) error = write_text("/proc/self/uid_map", line(user));
    if (error == 0) error = write_text("/proc/self/gid_map", line(group));
    return error;
}

tl::expected<void, StartError> make_namespaces() {
    if (::unshare(CLONE_NEWPID) == 0) return {};
    if (errno != EPERM) return tl::make_unexpected(not_permitted("unshare", errno));
    const uid_t user = ::geteuid();
    const gid_t group = ::getegid();
    if (::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) return tl::make_unexpected(not_permitted("unshare", errno));
    // The files of a process that keeps its memory private belong to root.
    const int dumpable = ::prctl(PR_GET_DUMPABLE);
    ::prctl(PR_SET_DUMPABLE, 1);
    const int error = map_identity(user, group);
    ::prctl(PR_SET_DUMPABLE, dumpable);
    if (error != 0) return tl::make_unexpected(not_permitted("user namespace without identity", error));
    return {};
}

Environment own_environment() {
    Environment environment;
    for (char** entry = ::environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
    return environment;
}

}  // namespace

tl::expected<pid_t, StartError> enter_pid_namespace() {
#ifdef __SANITIZE_ADDRESS__
    // The check at the end has a helper that would be in the new namespace, where our pid is nobody's. It is
    // done only once.
    __lsan_do_leak_check();
#endif
    if (const auto made = make_namespaces(); !made) return tl::make_unexpected(made.error());
    const UniqueFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!nothing.valid()) return tl::make_unexpected(not_permitted("/dev/null", errno));
    // The program again instead of a mere fork: nothing of the guardian's memory, which has secrets, lives on.
    ChildRequest request;
    request.file = "/proc/self/exe";
    request.argv = {kNamespaceInit};
    request.environment = own_environment();
    request.death_signal = SIGKILL;
    request.standard_input = request.standard_output = request.standard_error = nothing.get();
    auto started = start_child(request);
    if (!started) return tl::make_unexpected(not_permitted(started.error().message, started.error().error));
    return started;
}

void run_namespace_init() {
    ::prctl(PR_SET_NAME, kNamespaceInit);
    // Signals without a handler do not reach the first process of a namespace. Ignoring this one makes the
    // kernel reap, but not what has ended before.
    std::signal(SIGCHLD, SIG_IGN);
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    for (;;) ::pause();
}

}  // namespace rankexec::process
