// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "guarded_group.hpp"

namespace rankexec::test {
namespace {

namespace fs = std::filesystem;

/// Ranks that no shell script can play: this very program, before its main.
__attribute__((constructor)) void play_a_stubborn_rank() {
    const char* role = ::getenv("RANKEXEC_TEST_ROLE");
    if (role == nullptr) return;
    const std::string name = role;
    const bool new_session = name == "fork chain with sessions";
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::signal(signal, SIG_IGN);
    if (::write(STDOUT_FILENO, "up\n", 3) != 3) ::_exit(1);
    if (name == "fork tree") {
        for (int generation = 0; generation < 6; ++generation) ::fork();
        for (;;) ::pause();
    }
    for (;;) {
        if (::fork() > 0) ::_exit(0);
        if (new_session) ::setsid();
    }
}

wire::Supervise role_group(int world_size, const std::string& role) {
    auto supervise = shell_group(world_size, "");
    supervise.program.argv = {fs::read_symlink("/proc/self/exe")};
    supervise.program.environment.push_back("RANKEXEC_TEST_ROLE=" + role);
    return supervise;
}

class Stubborn : public testing::TestWithParam<const char*> {};

TEST_P(Stubborn, RanksAreGoneAfterTheForcedStep) {
    GuardedGroup group(role_group(2, GetParam()));
    ASSERT_TRUE(group.run_until_output(0, "up") && group.run_until_output(1, "up"));
    group.guardian->send(wire::EndGroup{50});
    ASSERT_TRUE(group.run_until_gone());
    ASSERT_EQ(group.ended.size(), 1U);
    EXPECT_THAT(group.ended[0].surviving_pids, testing::IsEmpty());
    EXPECT_TRUE(processes_of(group.run_id).empty());
}

INSTANTIATE_TEST_SUITE_P(All, Stubborn, testing::Values("fork tree", "fork chain", "fork chain with sessions"),
                         [](const auto& info) {
                             std::string name = info.param;
                             std::replace(name.begin(), name.end(), ' ', '_');
                             return name;
                         });

TEST(Unkillable, ProcessesAreNamedAndNotWaitedFor) {
    const fs::path freezer = "/sys/fs/cgroup/freezer/rankexec-test-" + std::to_string(::getpid());
    std::error_code error;
    if (!fs::create_directory(freezer, error)) GTEST_SKIP() << "needs the cgroup v1 freezer: " << error.message();
    GuardedGroup group(shell_group(2, "echo up; exec sleep 1000"));
    ASSERT_TRUE(group.run_until_output(0, "up") && group.run_until_output(1, "up"));
    const auto pid = group.started[1].pid;
    std::ofstream(freezer / "cgroup.procs") << pid << std::flush;
    std::ofstream(freezer / "freezer.state") << "FROZEN" << std::flush;
    group.guardian->send(wire::EndGroup{0});
    EXPECT_TRUE(group.run_until_gone());
    ASSERT_EQ(group.ended.size(), 1U);
    EXPECT_THAT(group.ended[0].surviving_pids, testing::ElementsAre(pid));
    EXPECT_EQ(group.exited.count(0), 1U);
    EXPECT_EQ(group.exited.count(1), 0U);
    EXPECT_EQ(group.output_ends[1], 1);
    std::ofstream(freezer / "freezer.state") << "THAWED" << std::flush;
    // Its death was only put off; the folder can go when it has happened.
    while (!fs::remove(freezer, error)) ::usleep(1000);
    // With a survivor in it, the guardian could not remove this; a later group would.
    for (const auto& folder : control_groups_of(group.run_id)) fs::remove(folder, error);
}

}  // namespace
}  // namespace rankexec::test
