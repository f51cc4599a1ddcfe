// SPDX-License-Identifier: Apache-2.0
// A host application that starts a group of the given worker, prints its ranks' pids on one line, and
// waits to be killed.
#include <unistd.h>

#include <iostream>

#include "rankexec/core/executor/multi_process_executor.hpp"

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    rankexec::MultiProcessOptions options;
    options.group.world_size = 2;
    options.group.program = {argv[1]};
    options.components = {{"executor", "test_executor", {}}};
    options.executor_id = "executor";
    rankexec::MultiProcessExecutor executor(options);
    rankexec::Context context;
    if (const auto ready = executor.initialise(context); !ready) {
        std::cerr << ready.error().describe() << "\n";
        return 1;
    }
    for (const auto& rank : executor.report().ranks) std::cout << rank.pid << " ";
    std::cout << std::endl;
    for (;;) ::pause();
}
