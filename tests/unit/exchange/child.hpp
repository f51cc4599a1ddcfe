// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace rankexec::test {

/// An exchange_peer, or another program, that runs; killed and reaped when this goes. One thread.
class Child {
public:
    explicit Child(std::vector<std::string> arguments);
    ~Child();
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    /// Its next line of output; empty when it has ended without one.
    [[nodiscard]] std::string line();
    /// Throws lines away until one begins with `start`, and returns that; empty when it has ended without one.
    std::string line_with(const std::string& start);
    void signal(int number) const;
    /// Until it has ended: its exit code, or minus the signal.
    int wait();
    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    pid_t pid_ = -1;
    int output_ = -1;
    std::string buffer_;
};

}  // namespace rankexec::test
