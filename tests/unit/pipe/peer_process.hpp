// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace rankexec::test {

/// A pipe_peer that runs; killed and reaped when this goes. One thread.
class PeerProcess {
public:
    explicit PeerProcess(std::vector<std::string> arguments);
    ~PeerProcess();
    PeerProcess(const PeerProcess&) = delete;
    PeerProcess& operator=(const PeerProcess&) = delete;

    /// Its next line of output; empty when it has ended without one.
    [[nodiscard]] std::string line();
    void kill();
    /// Until it has ended: its exit code, or minus the signal.
    int wait();

private:
    pid_t pid_ = -1;
    int output_ = -1;
    std::string buffer_;
};

}  // namespace rankexec::test
