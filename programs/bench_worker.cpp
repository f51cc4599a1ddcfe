// SPDX-License-Identifier: Apache-2.0
// The worker of `rankexec bench`.
#include <unistd.h>

#include <string_view>

#include "rankexec/core/bench/components.hpp"
#include "rankexec/worker/worker.hpp"

int main(int argc, char** argv) {
    // What a process of this size costs to start, without anything of ours: one byte says that it runs.
    if (argc == 2 && std::string_view(argv[1]) == "--one-byte") return ::write(STDOUT_FILENO, "x", 1) == 1 ? 0 : 1;
    rankexec::ComponentRegistry registry;
    rankexec::bench::register_components(registry);
    return rankexec::worker::run(registry);
}
