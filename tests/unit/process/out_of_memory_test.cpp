// SPDX-License-Identifier: Apache-2.0
// A rank that the kernel kills for want of memory, in a memory cgroup of the test's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include "guarded_group.hpp"

namespace rankexec::test {
namespace {

namespace fs = std::filesystem;

bool write_text(const fs::path& file, const std::string& text) {
    std::ofstream out(file);
    out << text << std::flush;
    return out.good();
}

/// The folder of our own memory cgroup, version 1; empty when there is none.
fs::path own_memory_group() {
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        const auto mark = line.find(":memory:");
        if (mark == std::string::npos) continue;
        const auto path = line.substr(mark + std::string(":memory:").size());
        const fs::path folder = "/sys/fs/cgroup/memory" + (path == "/" ? "" : path);
        return fs::exists(folder / "memory.limit_in_bytes") ? folder : fs::path("/sys/fs/cgroup/memory");
    }
    return {};
}

/// A cgroup with a memory limit below our own. This process is in it while `Limited` lives, and so is
/// what it starts.
class Limited {
public:
    explicit Limited(const std::string& bytes) {
        own_ = own_memory_group();
        const auto folder = own_ / ("rankexec-test-" + new_run_id());
        if (own_.empty() || ::mkdir(folder.c_str(), 0755) != 0) return;
        if (write_text(folder / "memory.limit_in_bytes", bytes) && move_to(folder)) folder_ = folder;
        if (!folder_) ::rmdir(folder.c_str());
    }
    ~Limited() {
        if (!folder_) return;
        move_to(own_);
        // Killed processes leave some moments after their parent has seen it.
        while (::rmdir(folder_->c_str()) != 0 && errno == EBUSY) ::usleep(1000);
    }
    Limited(const Limited&) = delete;
    Limited& operator=(const Limited&) = delete;
    [[nodiscard]] bool possible() const { return folder_.has_value(); }

private:
    static bool move_to(const fs::path& folder) {
        return write_text(folder / "cgroup.procs", std::to_string(::getpid()));
    }

    fs::path own_;
    std::optional<fs::path> folder_;
};

constexpr const char* kGreedy = "if [ $RANK = 1 ]; then x=12345678; while :; do x=$x$x; done; fi; exec sleep 1000";

TEST(OutOfMemory, IsToldOfTheRankThatTheKernelKilled) {
    const Limited limited("512M");
    if (!limited.possible()) GTEST_SKIP() << "no memory cgroup can be made here";
    GuardedGroup group(shell_group(2, kGreedy));
    ASSERT_TRUE(group.run_until([&] { return group.exited.contains(1); }));
    EXPECT_EQ(group.exited[1].status, (ExitStatus{true, SIGKILL}));
    EXPECT_TRUE(group.exited[1].out_of_memory);
    // Nobody else is accused: this one was killed by us.
    ASSERT_GT(group.started[0].pid, 0);
    ::kill(static_cast<pid_t>(group.started[0].pid), SIGKILL);
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_EQ(group.exited[0].status, (ExitStatus{true, SIGKILL}));
    EXPECT_FALSE(group.exited[0].out_of_memory);
}

TEST(OutOfMemory, IsNotClaimedOfAKillByAnybodyElse) {
    GuardedGroup group(shell_group(1, "kill -KILL $$"));
    ASSERT_TRUE(group.run_until_gone());
    EXPECT_FALSE(group.exited[0].out_of_memory);
}

}  // namespace
}  // namespace rankexec::test
