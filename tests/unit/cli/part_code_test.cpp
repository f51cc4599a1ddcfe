// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/jobs/part_code.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "rankexec/core/cli/resolve_job.hpp"
#include "temporary_folder.hpp"

namespace rankexec::cli {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

class PartCode : public testing::Test {
protected:
    PartCode() { setup_.workspace = workspace_.path().string(); }

    TemporaryFolder workspace_;
    TemporaryFolder elsewhere_;
    job::PartSetup setup_;
};
using J11_PartCode = PartCode;

TEST_F(J11_PartCode, OfTheBundleIsForTheSiteToAllow) {
    const auto library = workspace_.write("plugin.so", "");
    const auto program = workspace_.write("program", "", true);
    EXPECT_NO_THROW(check_library(library, setup_));
    EXPECT_NO_THROW(check_program(program, setup_));
    setup_.bundle_code = false;
    EXPECT_THAT([&] { check_library(library, setup_); }, ThrowsMessage<UnsafeComponent>(HasSubstr("no code")));
    EXPECT_THROW(check_program(program, setup_), UnsafeComponent);
    EXPECT_NO_THROW(check_program("/bin/true", setup_));
}

TEST_F(J11_PartCode, LibrariesFromElsewhereAreRefusedAlsoThroughALink) {
    const auto library = elsewhere_.write("plugin.so", "");
    EXPECT_THAT([&] { check_library(library, setup_); }, ThrowsMessage<UnsafeComponent>(HasSubstr("neither in")));
    std::filesystem::create_symlink(library, workspace_.path() / "link.so");
    EXPECT_THROW(check_library(workspace_.path() / "link.so", setup_), UnsafeComponent);
    EXPECT_THROW(check_library(workspace_.path() / ".." / elsewhere_.path().filename() / "plugin.so", setup_),
                 UnsafeComponent);
}

TEST_F(J11_PartCode, LibrariesThatEverybodyMayWriteToAreRefused) {
    const auto library = workspace_.write("plugin.so", "");
    ASSERT_EQ(::chmod(library.c_str(), 0666), 0);
    EXPECT_THAT([&] { check_library(library, setup_); }, ThrowsMessage<UnsafeComponent>(HasSubstr("chmod o-w")));
}

TEST_F(J11_PartCode, LibrariesOfTheInstallationAreTaken) {
    EXPECT_NO_THROW(check_library(library_folders().front() / "test_cli", setup_));
}

}  // namespace
}  // namespace rankexec::cli
