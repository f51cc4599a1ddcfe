// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/run_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace rankexec {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using ::testing::HasSubstr;

class RunDirectories : public ::testing::Test {
protected:
    void SetUp() override {
        std::string path = "/tmp/parent-XXXXXX";
        ASSERT_NE(::mkdtemp(path.data()), nullptr);
        parent = path;
        ::unsetenv("XDG_RUNTIME_DIR");
        ::setenv("TMPDIR", path.c_str(), 1);
    }
    void TearDown() override {
        ::unsetenv("TMPDIR");
        fs::remove_all(parent);
    }
    fs::path parent;
};

TEST_F(RunDirectories, AreChosenBelowTmpdirAndNotMade) {
    const auto path = choose_run_directory();
    ASSERT_TRUE(path);
    EXPECT_EQ(fs::path(*path).parent_path(), parent);
    EXPECT_FALSE(fs::exists(*path));
    EXPECT_NE(*path, *choose_run_directory());
}

TEST_F(RunDirectories, AreOfTheirUserAloneAndGoWithTheirOwner) {
    const auto path = choose_run_directory();
    ASSERT_TRUE(path);
    {
        const auto directory = RunDirectory::make(*path);
        ASSERT_TRUE(directory);
        struct stat status {};
        ASSERT_EQ(::stat(path->c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777U, 0700U);
        std::ofstream(*path + "/file") << "content";
    }
    EXPECT_FALSE(fs::exists(*path));
}

TEST_F(RunDirectories, AreNeverTakenOver) {
    const auto path = choose_run_directory();
    ASSERT_TRUE(path);
    fs::create_directory_symlink("/", *path);
    const auto directory = RunDirectory::make(*path);
    ASSERT_FALSE(directory);
    EXPECT_EQ(directory.error().code, ReturnCode::launch_error);
    EXPECT_THAT(directory.error().message, HasSubstr(*path));
    EXPECT_TRUE(fs::is_symlink(*path));
}

TEST_F(RunDirectories, GoElsewhereWhereTheyCannotBe) {
    const auto long_name = parent / std::string(80, 'x');
    fs::create_directory(long_name);
    for (const auto& unfit : {parent / "missing", parent / "file", long_name}) {
        std::ofstream(parent / "file") << "";
        ::setenv("TMPDIR", unfit.c_str(), 1);
        const auto path = choose_run_directory();
        ASSERT_TRUE(path) << unfit;
        EXPECT_EQ(fs::path(*path).parent_path(), "/tmp");
    }
}

TEST_F(RunDirectories, AbandonedOnesAreRemovedByTheNext) {
    const auto path = *choose_run_directory();
    const pid_t child = ::fork();
    if (child == 0) {
        const auto directory = RunDirectory::make(path);
        ::kill(::getpid(), SIGKILL);
    }
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    ASSERT_TRUE(fs::exists(path));
    remove_abandoned_run_directories(parent, seconds(3600));
    EXPECT_TRUE(fs::exists(path)) << "it may be a moment old";
    remove_abandoned_run_directories(parent, seconds(0));
    EXPECT_FALSE(fs::exists(path));
}

TEST_F(RunDirectories, ThatAreLivedInOrNotOursStay) {
    const auto path = *choose_run_directory();
    const auto lived_in = RunDirectory::make(path);
    ASSERT_TRUE(lived_in);
    fs::create_directory(parent / "rx-notes");
    fs::create_directory(parent / "rx-0123456789ABCDEF");
    fs::create_directory_symlink(parent / "rx-notes", parent / "rx-0123456789abcdef");
    remove_abandoned_run_directories(parent, seconds(0));
    EXPECT_TRUE(fs::exists(path));
    EXPECT_TRUE(fs::exists(parent / "rx-notes"));
    EXPECT_TRUE(fs::exists(parent / "rx-0123456789ABCDEF"));
    EXPECT_TRUE(fs::is_symlink(parent / "rx-0123456789abcdef"));
}

}  // namespace
}  // namespace rankexec
