// SPDX-License-Identifier: Apache-2.0
#include "traced_child.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>

namespace rankexec::job {
namespace {

constexpr int kNoTracing = 77;
constexpr int kSystemCall = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD

constexpr std::array kChangeFiles{
    SYS_write,     SYS_pwrite64, SYS_pwritev,  SYS_writev, SYS_ftruncate, SYS_fallocate,       SYS_fsync, SYS_fdatasync,
#ifdef SYS_rename
    SYS_rename,    SYS_unlink,   SYS_link,     SYS_mkdir,  SYS_rmdir,
#endif
    SYS_renameat2, SYS_renameat, SYS_unlinkat, SYS_linkat, SYS_mkdirat,   SYS_copy_file_range,
};

bool makes_a_file(const __ptrace_syscall_info& info) {
    return info.entry.nr == SYS_openat && (info.entry.args[2] & O_CREAT) != 0;
}

/// Whether the child stands before a call that changes files.
bool changes_files(pid_t child) {
    __ptrace_syscall_info info{};
    ::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return false;
    const auto number = static_cast<long>(info.entry.nr);
    return makes_a_file(info) || std::find(kChangeFiles.begin(), kChangeFiles.end(), number) != kChangeFiles.end();
}

[[noreturn]] void be_child(const std::function<void()>& before, const std::function<void()>& work, int report) {
    before();
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(kNoTracing);
    ::raise(SIGSTOP);
    work();
    // Counted as one more call, so the child is killed after the work too, but before it leaves in order.
    const ssize_t written = ::write(report, "x", 1);
    ::_exit(written == 1 ? 0 : 1);
}

bool was_reported(int report) {
    char byte = 0;
    return ::read(report, &byte, 1) == 1;
}

}  // namespace

std::optional<ChildEnd> run_traced(const std::function<void()>& before, const std::function<void()>& work,
                                   std::optional<int> kill_at) {
    std::array<int, 2> report{};
    EXPECT_EQ(::pipe2(report.data(), O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) be_child(before, work, report[1]);
    ::close(report[1]);
    ChildEnd end;
    int status = 0;
    std::optional<ChildEnd> result;
    bool set = false;
    while (true) {
        if (::waitpid(child, &status, 0) != child) break;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            end.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
            end.reported = was_reported(report[0]);
            const bool untraced = WIFEXITED(status) && WEXITSTATUS(status) == kNoTracing;
            if (!untraced) result = end;
            EXPECT_TRUE(end.killed || WIFEXITED(status)) << "status " << status;
            break;
        }
        int pass_on = 0;
        if (!set) {
            ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
            set = true;
        } else if (WSTOPSIG(status) == kSystemCall) {
            if (changes_files(child) && ++end.calls == kill_at) ::kill(child, SIGKILL);
        } else {
            pass_on = WSTOPSIG(status);
        }
        ::ptrace(PTRACE_SYSCALL, child, nullptr, static_cast<std::intptr_t>(pass_on));
    }
    ::close(report[0]);
    return result;
}

}  // namespace rankexec::job
