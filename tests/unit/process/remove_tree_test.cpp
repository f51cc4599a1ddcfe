// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/remove_tree.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

namespace rankexec::process {
namespace {

TEST(RemoveTree, WhatAProgramPutsThereMeanwhileGoesToo) {
    for (int round = 0; round < 50; ++round) {
        std::string folder = std::filesystem::temp_directory_path() / "tree-XXXXXX";
        ASSERT_NE(::mkdtemp(folder.data()), nullptr);
        const int inner = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        std::thread program([inner] {
            for (int number = 0;; ++number) {
                const int file = ::openat(inner, std::to_string(number).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                if (file < 0) return;  // the folder is gone
                ::close(file);
            }
        });
        EXPECT_EQ(remove_tree(folder), 0);
        EXPECT_FALSE(std::filesystem::exists(folder));
        std::error_code ignored;
        std::filesystem::remove_all(folder, ignored);
        program.join();
        ::close(inner);
    }
}

}  // namespace
}  // namespace rankexec::process
