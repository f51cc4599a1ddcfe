// SPDX-License-Identifier: Apache-2.0
// spawn_limit COUNT ROUNDS PROGRAM [ARGUMENT...]
//
// What it costs here at best to start that many processes: posix_spawn of a program that writes one byte, until all
// bytes have come. Prints the median in microseconds.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "rankexec/bench/limits/ring.hpp"

int main(int argc, char** argv) {
    if (argc < 4) return 2;
    const int count = std::atoi(argv[1]);
    const int rounds = std::atoi(argv[2]);
    std::vector<double> times;
    for (int round = -1; round < rounds; ++round) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) return 1;
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        const auto begin = std::chrono::steady_clock::now();
        for (int index = 0; index < count; ++index) {
            pid_t pid = 0;
            if (::posix_spawn(&pid, argv[3], &actions, nullptr, argv + 3, environ) != 0) return 1;
        }
        ::close(ends[1]);
        int seen = 0;
        for (char bytes[64]; seen < count;) {
            const auto got = ::read(ends[0], bytes, sizeof bytes);
            if (got <= 0) return 1;
            seen += static_cast<int>(got);
        }
        if (round >= 0) times.push_back(limit::microseconds_since(begin));
        ::close(ends[0]);
        ::posix_spawn_file_actions_destroy(&actions);
        for (int index = 0; index < count; ++index) ::waitpid(-1, nullptr, 0);
    }
    std::printf("%.1f\n", limit::median(times));
}
