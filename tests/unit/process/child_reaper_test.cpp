// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/child_reaper.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <vector>

namespace {

using rankexec::EventLoop;
using rankexec::ExitStatus;
using rankexec::process::ChildReaper;

/// A child that ends when `end` is called, and is then a zombie.
class Child {
public:
    Child() {
        if (::pipe(pipe_.data()) != 0) std::abort();
        pid_ = ::fork();
        if (pid_ != 0) return;
        ::close(pipe_[1]);
        char byte = 0;
        ::_exit(static_cast<int>(::read(pipe_[0], &byte, 1)));
    }
    ~Child() {
        ::close(pipe_[0]);
        ::close(pipe_[1]);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    void end() const {
        ASSERT_EQ(::write(pipe_[1], "x", 1), 1);
        siginfo_t info{};
        ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT), 0);
    }
    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    std::array<int, 2> pipe_{};
    pid_t pid_ = 0;
};

TEST(ChildReaper, TellsOfTheFirstDeathFirst) {
    EventLoop loop;
    std::vector<pid_t> order;
    ChildReaper reaper(loop, [&](pid_t pid, const ExitStatus&) {
        order.push_back(pid);
        if (order.size() == 3) loop.stop();
    });
    const Child first;
    const Child second;
    const Child third;
    // Nobody looks in between, as on a busy host.
    third.end();
    first.end();
    second.end();
    loop.run();
    ASSERT_EQ(order.size(), 3U);
    EXPECT_EQ(order.front(), third.pid());
    EXPECT_THAT(order, testing::UnorderedElementsAre(first.pid(), second.pid(), third.pid()));
}

}  // namespace
