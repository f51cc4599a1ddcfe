// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/resource.h>

#include <csignal>

namespace rankexec::test {

/// While it lives this process can write no byte to a file: for pipes of files, the same as a full disk.
class NoRoom {
public:
    NoRoom() {
        former_action_ = std::signal(SIGXFSZ, SIG_IGN);
        (void)::getrlimit(RLIMIT_FSIZE, &former_);
        const rlimit none{0, former_.rlim_max};
        (void)::setrlimit(RLIMIT_FSIZE, &none);
    }
    ~NoRoom() {
        (void)::setrlimit(RLIMIT_FSIZE, &former_);
        (void)std::signal(SIGXFSZ, former_action_);
    }
    NoRoom(const NoRoom&) = delete;
    NoRoom& operator=(const NoRoom&) = delete;

private:
    rlimit former_{};
    void (*former_action_)(int) = nullptr;
};

}  // namespace rankexec::test
