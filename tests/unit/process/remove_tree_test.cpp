// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/remove_tree.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <latch>
#include <string>
#include <thread>

namespace rankexec::process {
namespace {

TEST(RemoveTree, WhatAProgramPutsThereMeanwhileGoesToo) {
    for (int round = 0; round < 50; ++round) {
        std::string folder = std::filesystem::temp_directory_path() / "tree-XXXXXX";
        ASSERT_NE(::mkdtemp(folder.data()), nullptr);
        const int inner = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        // Who makes files without an end, and faster than they can be removed, wins whatever is tried.
        std::latch begun(1);
        std::thread program([inner, &begun] {
            for (int number = 0; number < 1000; ++number) {
                const int file = ::openat(inner, std::to_string(number).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                if (file < 0) return;  // the folder is gone
                ::close(file);
                if (number == 10) begun.count_down();
            }
        });
        begun.wait();
        EXPECT_EQ(remove_tree(folder), 0);
        EXPECT_FALSE(std::filesystem::exists(folder));
        program.join();
        std::error_code ignored;
        std::filesystem::remove_all(folder, ignored);
        ::close(inner);
    }
}

}  // namespace
}  // namespace rankexec::process
