// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "guarded_group.hpp"

namespace rankexec::test {
namespace {

namespace fs = std::filesystem;

/// Adopts what dying processes of the test leave behind, so that their ends can be waited for.
class Death : public testing::Test {
protected:
    void SetUp() override { ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0); }
    void TearDown() override { ::prctl(PR_SET_CHILD_SUBREAPER, 0); }

    static void wait_for(pid_t pid) { ASSERT_EQ(::waitpid(pid, nullptr, 0), pid); }

    /// Until no child is left; false when one still runs that nobody expects to end.
    static void wait_for_all_children() {
        while (::waitpid(-1, nullptr, 0) > 0) {
        }
    }
};

/// A process id that may be waited for and killed. Throws std::runtime_error for what would mean other
/// processes to these calls: 0, -1.
pid_t one_process(pid_t pid, const char* what) {
    if (pid <= 0) throw std::runtime_error(std::string("there is no process: ") + what);
    return pid;
}

/// Forks; `child` says something of type Said with the function that it gets, and returns only on failure.
/// Throws std::runtime_error when nothing was said.
template <typename Said, typename Child>
std::pair<pid_t, Said> fork_and_hear(const Child& child) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) throw std::runtime_error("no pipe");
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::close(ends[0]);
        try {
            child([&ends](const Said& said) {
                if (::write(ends[1], &said, sizeof said) != static_cast<ssize_t>(sizeof said)) ::_exit(1);
            });
        } catch (const std::exception& error) {
            std::fprintf(stderr, "the forked host: %s\n", error.what());
        }
        ::_exit(1);
    }
    ::close(ends[1]);
    Said said{};
    const auto size = pid < 0 ? 0 : ::read(ends[0], &said, sizeof said);
    ::close(ends[0]);
    if (size != static_cast<ssize_t>(sizeof said)) {
        if (pid > 0) ::waitpid(pid, nullptr, 0);
        throw std::runtime_error("the forked host said nothing");
    }
    return {pid, said};
}

/// A host application in a process of its own: it starts the group and serves it until it is killed.
class HostProcess {
public:
    explicit HostProcess(const wire::Supervise& supervise) {
        std::tie(pid_, guardian_) = fork_and_hear<pid_t>([&supervise](const auto& say) {
            GuardedGroup group(supervise);
            const bool up = group.run_until([&] {
                for (const auto& rank : supervise.ranks) {
                    if (group.output[rank.rank].find("up") == std::string::npos) return false;
                }
                return !supervise.ranks.empty() || group.output[-1].find("up") != std::string::npos;
            });
            if (!up) return;
            say(group.guardian->pid());
            for (;;) group.loop.run_once(std::chrono::milliseconds(-1));
        });
        one_process(guardian_, "guardian");
    }

    void kill() const {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] pid_t guardian() const { return guardian_; }

private:
    pid_t pid_ = 0;
    pid_t guardian_ = 0;
};

std::string make_run_directory() {
    std::string folder = testing::TempDir() + "/rankexec-run-XXXXXX";
    EXPECT_NE(::mkdtemp(folder.data()), nullptr);
    return folder;
}

constexpr const char* kStubborn = "trap '' TERM HUP INT; echo up; while :; do sleep 0.01; done";

TEST_F(Death, OfTheHostEndsRanksAndGuardianAndRemovesTheRunDirectory) {
    auto supervise = shell_group(4, "echo up; exec sleep 1000");
    supervise.run_directory = make_run_directory();
    const HostProcess host(supervise);
    host.kill();
    wait_for(host.guardian());
    EXPECT_TRUE(processes_of(supervise.run_id).empty());
    EXPECT_FALSE(fs::exists(supervise.run_directory));
}

TEST_F(Death, OfTheHostEndsStubbornRanksAfterTheOrphanGrace) {
    auto supervise = shell_group(4, kStubborn);
    supervise.orphan_grace_ms = 50;
    const HostProcess host(supervise);
    host.kill();
    wait_for(host.guardian());
    EXPECT_TRUE(processes_of(supervise.run_id).empty());
}

TEST_F(Death, OfTheHostEndsStoppedRanksAndDaemons) {
    auto supervise = shell_group(3,
                                 "setsid sh -c \"setsid sh -c 'trap \\\"\\\" TERM; sleep 1000; sleep 1000' & exit\" &"
                                 "wait; echo up; kill -STOP $$");
    supervise.orphan_grace_ms = 50;
    const HostProcess host(supervise);
    host.kill();
    wait_for(host.guardian());
    EXPECT_TRUE(processes_of(supervise.run_id).empty());
}

TEST_F(Death, OfTheHostEndsALauncherAndItsRanks) {
    auto supervise = shell_launcher(
        "for i in 1 2; do setsid sh -c 'trap \"\" TERM; sleep 1000 & wait; wait' & done;"
        "echo up; wait");
    supervise.orphan_grace_ms = 50;
    const HostProcess host(supervise);
    host.kill();
    wait_for(host.guardian());
    EXPECT_TRUE(processes_of(supervise.run_id).empty());
}

TEST_F(Death, OfTheHostIsSeenAlthoughAForkedChildHoldsItsDescriptors) {
    auto supervise = shell_group(2, "echo up; exec sleep 1000");
    struct Pids {
        pid_t guardian;
        pid_t child;
    };
    const auto [host, pids] = fork_and_hear<Pids>([&supervise](const auto& say) {
        GuardedGroup group(supervise);
        group.run_until([&] { return group.output[0] == "up\n" && group.output[1] == "up\n"; });
        const pid_t child = ::fork();
        if (child != 0) say({group.guardian->pid(), child});
        for (;;) ::pause();
    });
    ASSERT_GT(host, 0);
    ::kill(host, SIGKILL);
    wait_for(host);
    wait_for(one_process(pids.guardian, "guardian"));
    EXPECT_TRUE(processes_of(supervise.run_id).empty());
    ::kill(one_process(pids.child, "the host's child"), SIGKILL);
    wait_for(pids.child);
}

TEST_F(Death, OfTheHostBeforeItAskedForRanksRemovesTheRunDirectory) {
    const auto folder = make_run_directory();
    const auto [host, guardian] = fork_and_hear<pid_t>([&folder](const auto& say) {
        EventLoop loop;
        const auto client = GuardianClient::start(loop, new_run_id(), folder, GuardianClient::Place::own_session, {});
        if (!client) return;
        say((*client)->pid());
        for (;;) ::pause();
    });
    ASSERT_GT(host, 0);
    ::kill(host, SIGKILL);
    wait_for(host);
    wait_for(one_process(guardian, "guardian"));
    EXPECT_FALSE(fs::exists(folder));
}

TEST_F(Death, OfAClientThatAskedForNoRanksRemovesTheRunDirectory) {
    const auto folder = make_run_directory();
    EventLoop loop;
    auto guardian = GuardianClient::start(loop, new_run_id(), folder, GuardianClient::Place::own_session, {});
    ASSERT_TRUE(guardian);
    guardian->reset();
    EXPECT_FALSE(fs::exists(folder));
}

TEST_F(Death, OfTheGuardianEndsObedientRanks) {
    GuardedGroup group(shell_group(3, "echo up; exec sleep 1000"));
    ASSERT_TRUE(group.run_until([&] { return group.output[0] + group.output[1] + group.output[2] == "up\nup\nup\n"; }));
    ASSERT_GT(group.guardian->pid(), 0);
    ::kill(group.guardian->pid(), SIGKILL);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_FALSE(group.expected);
    wait_for_all_children();
    EXPECT_TRUE(processes_of(group.run_id).empty());
    EXPECT_TRUE(group.run_until([&] { return control_groups_of(group.run_id).empty(); }));
}

TEST_F(Death, OfGuardianAndHostTogetherEndsObedientRanks) {
    const auto supervise = shell_group(3, "echo up; exec sleep 1000");
    const HostProcess host(supervise);
    ::kill(host.guardian(), SIGKILL);
    host.kill();
    wait_for_all_children();
    EXPECT_TRUE(processes_of(supervise.run_id).empty());
    // Nobody was left to do this; the next group would.
    for (const auto& folder : control_groups_of(supervise.run_id)) fs::remove(folder);
}

TEST_F(Death, OfTheGuardianByASignalThatAsksIsAnOrderlyEnd) {
    auto supervise = shell_group(2, kStubborn);
    supervise.orphan_grace_ms = 50;
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_output(0, "up") && group.run_until_output(1, "up"));
    ASSERT_GT(group.guardian->pid(), 0);
    ::kill(group.guardian->pid(), SIGTERM);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_TRUE(group.expected);
    EXPECT_EQ(group.exited.size(), 2U);
}

TEST_F(Death, OfTheClientEndsTheGroupNow) {
    auto supervise = shell_group(2, kStubborn);
    supervise.run_directory = make_run_directory();
    GuardedGroup group(supervise);
    ASSERT_TRUE(group.run_until_output(0, "up") && group.run_until_output(1, "up"));
    group.guardian.reset();
    EXPECT_TRUE(processes_of(supervise.run_id).empty());
    EXPECT_FALSE(fs::exists(supervise.run_directory));
    EXPECT_FALSE(group.gone);
}

TEST_F(Death, OfTheClientEndsTheGroupAlsoBeforeItHasStarted) {
    auto supervise = shell_group(8, kStubborn);
    { GuardedGroup group(supervise); }
    EXPECT_TRUE(processes_of(supervise.run_id).empty());
}

}  // namespace
}  // namespace rankexec::test
