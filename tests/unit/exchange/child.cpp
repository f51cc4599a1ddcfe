// SPDX-License-Identifier: Apache-2.0
#include "child.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

namespace rankexec::test {

Child::Child(std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    EXPECT_EQ(::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0) << argv[0];
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    output_ = ends[0];
}

Child::~Child() {
    if (pid_ > 0) {
        signal(SIGKILL);
        wait();
    }
    ::close(output_);
}

std::string Child::line() {
    while (buffer_.find('\n') == std::string::npos) {
        std::array<char, 256> bytes{};
        const auto size = ::read(output_, bytes.data(), bytes.size());
        if (size <= 0) return {};
        buffer_.append(bytes.data(), static_cast<std::size_t>(size));
    }
    auto first = buffer_.substr(0, buffer_.find('\n'));
    buffer_.erase(0, first.size() + 1);
    return first;
}

std::string Child::line_with(const std::string& start) {
    while (true) {
        auto next = line();
        if (next.empty() || next.starts_with(start)) return next;
    }
}

void Child::signal(int number) const { ::kill(pid_, number); }

int Child::wait() {
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace rankexec::test
