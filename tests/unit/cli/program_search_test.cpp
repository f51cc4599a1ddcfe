// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/program_search.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temporary_folder.hpp"

namespace rankexec::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(ProgramSearch, FindsProgramsInPath) { EXPECT_EQ(search_program("sh")->filename(), "sh"); }

TEST(ProgramSearch, AMissingProgramIs127AndNamesThePlaces) {
    const auto found = search_program("no-such-program-anywhere");
    ASSERT_FALSE(found.has_value());
    EXPECT_EQ(found.error().exit_code, 127);
    EXPECT_THAT(found.error().message, AllOf(HasSubstr("'no-such-program-anywhere'"), HasSubstr("/usr/bin/no-such")));
    EXPECT_EQ(search_program("").error().exit_code, 127);
    EXPECT_EQ(search_program("./no/such").error().exit_code, 127);
}

TEST(ProgramSearch, AFileThatIsNoProgramIs126) {
    const TemporaryFolder folder;
    const auto file = folder.write("data.txt", "x");
    EXPECT_EQ(search_program(file.string()).error().exit_code, 126);
    EXPECT_THAT(search_program(file.string()).error().message, HasSubstr("is not executable"));
    EXPECT_THAT(search_program(folder.path().string()).error().message, HasSubstr("is a directory"));
}

TEST(ProgramSearch, AJobsFilesAreFoundBesideTheJobFirst) {
    const TemporaryFolder folder;
    const auto beside_job = folder.write("job/worker", "", true);
    const auto beside_us = folder.write("bin/worker", "", true);
    folder.write("bin/other", "", true);
    const JobFilePlaces places{folder.path() / "job", {folder.path() / "bin"}, true, true};
    EXPECT_EQ(search_job_file("worker", places), beside_job);
    EXPECT_EQ(search_job_file("./worker", places), beside_job);
    EXPECT_EQ(search_job_file("other", places), folder.path() / "bin" / "other");
    EXPECT_EQ(search_job_file(beside_us.string(), places), beside_us);
    EXPECT_EQ(search_job_file("sh", places)->filename(), "sh");
}

TEST(ProgramSearch, AJobsMissingFileNamesEveryPlace) {
    const TemporaryFolder folder;
    const auto found = search_job_file("absent", {folder.path() / "job", {folder.path() / "bin"}, true, true});
    ASSERT_FALSE(found.has_value());
    EXPECT_EQ(found.error().exit_code, 127);
    EXPECT_THAT(found.error().message,
                AllOf(HasSubstr("/job/absent"), HasSubstr("/bin/absent"), HasSubstr("/usr/bin/absent")));
}

TEST(ProgramSearch, ALibraryNeedNotBeExecutable) {
    const TemporaryFolder folder;
    const auto library = folder.write("libx.so", "");
    EXPECT_EQ(search_job_file("libx.so", {folder.path(), {}, false, false}), library);
}

}  // namespace
}  // namespace rankexec::cli
