// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/controller/uploads.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "unit/cli/temporary_folder.hpp"

namespace rankexec::job {
namespace {

Uploads::Upload upload_of(const std::string& user, int number) {
    Uploads::Upload upload;
    upload.user = user;
    upload.token = std::to_string(number);
    upload.bytes = 10;
    return upload;
}

std::ptrdiff_t files_in(const std::filesystem::path& folder) {
    return std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator());
}

class J10_Uploads : public ::testing::Test {
protected:
    cli::TemporaryFolder folder;
    std::filesystem::path place = folder.path() / "uploads";
    Uploads uploads{place, 1000};
};

TEST_F(J10_Uploads, ThoseThatNobodyFinishesAreInNobodysWay) {
    const auto first = uploads.begin(upload_of("ada", 0));
    const auto of_bob = uploads.begin(upload_of("bob", 0));
    ASSERT_TRUE(uploads.add("bob", *of_bob, 0, Bytes(3)));
    ASSERT_TRUE(first);
    std::string idle;
    for (int number = 1; number < 40; ++number) {
        const auto id = uploads.begin(upload_of("ada", number));
        ASSERT_TRUE(id) << id.error();
        ASSERT_TRUE(uploads.add("ada", *id, 0, Bytes(4)));
        if (number == 1) idle = *id;
        ASSERT_TRUE(uploads.add("ada", *first, number % 10, Bytes(number < 10 ? 1 : 0))) << "one that goes on stays";
    }
    EXPECT_FALSE(uploads.add("ada", idle, 4, Bytes(4)));
    EXPECT_EQ(uploads.have(*of_bob), 3);
    EXPECT_EQ(files_in(place), 17);
}

TEST_F(J10_Uploads, WhatCannotBeWrittenLeavesNothing) {
    const auto id = uploads.begin(upload_of("ada", 1));
    ASSERT_TRUE(id);
    ASSERT_TRUE(uploads.add("ada", *id, 0, Bytes(4)));
    std::filesystem::remove_all(place);
    EXPECT_FALSE(uploads.add("ada", *id, 4, Bytes(4)));
    const auto again = uploads.begin(upload_of("ada", 1));
    ASSERT_TRUE(again);
    EXPECT_EQ(uploads.have(*again), 0) << "the same submission begins anew";
}

}  // namespace
}  // namespace rankexec::job
