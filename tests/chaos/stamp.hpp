// SPDX-License-Identifier: Apache-2.0
// The moment of a failure, left by a rank for the round that waits for it.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

namespace chaos {

/// Into the file CHAOS_STAMP, in nanoseconds of the monotonic clock.
inline void leave_stamp() {
    const char* path = std::getenv("CHAOS_STAMP");
    if (path == nullptr) return;
    const std::string temporary = std::string(path) + ".new";
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto text = std::to_string(now.tv_sec * 1'000'000'000LL + now.tv_nsec);
    const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || ::write(file, text.data(), text.size()) < 0) return;
    ::close(file);
    ::rename(temporary.c_str(), path);
}

}  // namespace chaos
