// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "rankexec/core/system/private_folder.hpp"
#include "unit/cli/temporary_folder.hpp"

namespace rankexec {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class J10_Home : public ::testing::Test {
protected:
    static fs::perms mode(const fs::path& path) { return fs::status(path).permissions(); }

    cli::TemporaryFolder folder;
    const fs::path home = folder.path() / "a" / "home";
};

TEST_F(J10_Home, IsMadeForItsOwnerOnly) {
    EXPECT_TRUE(make_private_folder(home, "sign"));
    EXPECT_EQ(mode(home), fs::perms::owner_all);
    std::ofstream(home / "file") << "x";
    EXPECT_TRUE(make_private_folder(home, "sign")) << "again";
}

TEST_F(J10_Home, AnEmptyFolderIsClosed) {
    fs::create_directories(home);
    fs::permissions(home, fs::perms::all);
    EXPECT_TRUE(make_private_folder(home, "sign"));
    EXPECT_EQ(mode(home), fs::perms::owner_all);
}

TEST_F(J10_Home, OneOfOursIsClosed) {
    fs::create_directories(home);
    std::ofstream(home / "sign") << "x";
    fs::permissions(home, fs::perms::all);
    EXPECT_TRUE(make_private_folder(home, "sign"));
    EXPECT_EQ(mode(home), fs::perms::owner_all);
}

TEST_F(J10_Home, AFolderThatOthersUseIsLeftAsItIs) {
    fs::create_directories(home);
    std::ofstream(home / "theirs") << "x";
    fs::permissions(home, fs::perms::all);
    const auto made = make_private_folder(home, "sign");
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error(), HasSubstr("chmod 700 " + home.string()));
    EXPECT_EQ(mode(home), fs::perms::all);
}

TEST_F(J10_Home, AFileIsNone) {
    fs::create_directories(home.parent_path());
    std::ofstream(home) << "x";
    const auto made = make_private_folder(home, "sign");
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error(), HasSubstr(home.string()));
}

}  // namespace
}  // namespace rankexec
