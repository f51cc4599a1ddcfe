// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <set>
#include <string>
#include <thread>

#include "guarded_group.hpp"

/// What the host application must not notice: see Host.NothingOfItChanges.
namespace rankexec::test {
namespace {

std::set<std::string> open_descriptors() {
    std::set<std::string> descriptors;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;  // the descriptor of this very listing
        const auto target = std::filesystem::read_symlink(entry.path(), gone);
        if (!gone) descriptors.insert(entry.path().filename().string() + " " + target.string());
    }
    return descriptors;
}

std::string signal_state() {
    std::string state;
    for (int signal = 1; signal < NSIG; ++signal) {
        struct sigaction action {};
        if (::sigaction(signal, nullptr, &action) != 0) continue;
        state += std::to_string(reinterpret_cast<std::uintptr_t>(action.sa_handler)) + " ";
    }
    sigset_t mask;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    for (int signal = 1; signal < NSIG; ++signal) state += sigismember(&mask, signal) == 1 ? '1' : '0';
    return state;
}

TEST(Host, NothingOfItChanges) {
    const auto descriptors = open_descriptors();
    const auto signals = signal_state();
    const mode_t mask = ::umask(0);
    ::umask(mask);
    {
        GuardedGroup group(shell_group(2, "echo hello; exit $RANK"));
        ASSERT_TRUE(group.run_until_gone());
    }
    {
        GuardedGroup group(shell_group(2, "sleep 1000"));
        ASSERT_TRUE(group.run_until_started(2));
    }
    EXPECT_EQ(open_descriptors(), descriptors);
    EXPECT_EQ(signal_state(), signals);
    const mode_t now = ::umask(mask);
    EXPECT_EQ(now, mask);
    int subreaper = -1;
    ::prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
    EXPECT_EQ(subreaper, 0);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
}

TEST(Host, ThatIgnoresSigchldSeesTheGuardianGo) {
    struct sigaction ignore {};
    struct sigaction before {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGCHLD, &ignore, &before);
    {
        GuardedGroup group(shell_group(2, "exit 3"));
        EXPECT_TRUE(group.run_until_gone());
        EXPECT_TRUE(group.expected);
        EXPECT_EQ(group.exited[1].status, (ExitStatus{false, 3}));
        GuardedGroup other(shell_group(1, "sleep 1000"));
        EXPECT_TRUE(other.run_until_started(1));
    }
    struct sigaction after {};
    ::sigaction(SIGCHLD, &before, &after);
    EXPECT_EQ(after.sa_handler, SIG_IGN);
}

TEST(Host, ThatBlocksEverySignalHasRanksThatDoNot) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);
    GuardedGroup group(shell_group(1, "trap 'exit 8' TERM; echo up; while :; do sleep 0.01; done"));
    EXPECT_TRUE(group.run_until_output(0, "up"));
    group.guardian->send(wire::EndGroup{60'000});
    EXPECT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.exited[0].status, (ExitStatus{false, 8}));
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(Host, ThatWaitsForAnyChildMayTakeTheGuardian) {
    GuardedGroup group(shell_group(1, "sleep 0.05"));
    const pid_t guardian = group.guardian->pid();
    pid_t waited = 0;
    std::thread thief([&] { waited = ::waitpid(-1, nullptr, 0); });
    EXPECT_TRUE(group.run_until_gone());
    EXPECT_TRUE(group.expected);
    // Whoever was first: the thief then has the guardian, or finds that there is no child.
    thief.join();
    EXPECT_TRUE(waited == guardian || waited == -1);
}

TEST(Host, KeepsItsOwnChildren) {
    const pid_t own = ::fork();
    if (own == 0) ::_exit(42);
    {
        GuardedGroup group(shell_group(1, "true"));
        EXPECT_TRUE(group.run_until_gone());
    }
    int status = 0;
    EXPECT_EQ(::waitpid(own, &status, 0), own);
    EXPECT_EQ(WEXITSTATUS(status), 42);
}

TEST(Host, MayForkWithoutExecAndItsChildMayEnd) {
    auto group = std::make_unique<GuardedGroup>(shell_group(1, "echo up; sleep 1000"));
    ASSERT_TRUE(group->run_until_output(0, "up"));
    const pid_t child = ::fork();
    if (child == 0) {
        group.reset();
        ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
    group->guardian->send(wire::SignalRanks{SIGUSR1});
    ASSERT_TRUE(group->run_until_gone());
    EXPECT_EQ(group->exited[0].status, (ExitStatus{true, SIGUSR1}));
    EXPECT_FALSE(group->exited[0].by_us);
}

TEST(Host, ThatHasRunOutOfDescriptorsGetsAFailureAndLosesNone) {
    EventLoop loop;
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const auto supervise = shell_group(1, "true");
    const auto descriptors = open_descriptors();
    const int next = ::dup(0);
    ::close(next);
    bool started = false;
    for (rlim_t spare = 0; !started && spare < 32; ++spare) {
        const rlimit limit{.rlim_cur = static_cast<rlim_t>(next) + spare, .rlim_max = before.rlim_max};
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
        auto guardian = start_supervised(loop, supervise);
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
        started = guardian.has_value();
        if (guardian) continue;
        EXPECT_EQ(guardian.error().code, ReturnCode::launch_error);
        EXPECT_THAT(guardian.error().message, testing::HasSubstr("open files"));
        EXPECT_EQ(open_descriptors(), descriptors);
    }
    EXPECT_TRUE(started);
    EXPECT_TRUE(processes_of(supervise.run_id).empty());
}

TEST(Host, ThatMayNotHaveMoreProcessesGetsAFailure) {
    // A folder of its own: that user may not be allowed to enter the build folder.
    const char* const built = ::getenv("RANKEXEC_PROGRAM_DIR");
    ASSERT_NE(built, nullptr);
    auto folder = (std::filesystem::temp_directory_path() / "rankexec-host-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    std::filesystem::permissions(folder, std::filesystem::perms(0755));
    const auto* const guardian_name = "rankexec-guardian";
    std::filesystem::copy(std::filesystem::path(built) / guardian_name, std::filesystem::path(folder) / guardian_name);
    const pid_t child = ::fork();
    if (child == 0) {
        ::setenv("RANKEXEC_PROGRAM_DIR", folder.c_str(), 1);
        // The limit does not hold for root; and only an otherwise unused user has a known count.
        if (::geteuid() == 0 && (::setgid(54321) != 0 || ::setuid(54321) != 0)) ::_exit(2);
        const rlimit none{.rlim_cur = 0, .rlim_max = 0};
        ::setrlimit(RLIMIT_NPROC, &none);
        EventLoop loop;
        const auto guardian = start_supervised(loop, shell_group(1, "true"));
        const bool as_expected = !guardian && guardian.error().code == ReturnCode::launch_error &&
                                 guardian.error().message.find("processes") != std::string::npos;
        ::_exit(as_expected ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    std::filesystem::remove_all(folder);
}

TEST(Host, WithoutTheGuardianProgramIsToldWhereItWasLookedFor) {
    const std::string before = ::getenv("RANKEXEC_PROGRAM_DIR") != nullptr ? ::getenv("RANKEXEC_PROGRAM_DIR") : "";
    ::setenv("RANKEXEC_PROGRAM_DIR", "/nowhere", 1);
    EventLoop loop;
    const auto guardian = start_supervised(loop, shell_group(1, "true"));
    ::setenv("RANKEXEC_PROGRAM_DIR", before.c_str(), 1);
    ASSERT_FALSE(guardian);
    EXPECT_EQ(guardian.error().code, ReturnCode::launch_error);
    EXPECT_THAT(guardian.error().message, testing::HasSubstr("/nowhere"));
}

}  // namespace
}  // namespace rankexec::test
