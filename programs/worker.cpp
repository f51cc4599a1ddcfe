// SPDX-License-Identifier: Apache-2.0
// The stock worker: its components come from plugin libraries named on the command line.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "rankexec/core/component/plugin.hpp"
#include "rankexec/worker/worker.hpp"

int main(int argc, char** argv) {
    rankexec::ComponentRegistry registry;
    const std::vector<std::string> args(argv + 1, argv + argc);
    for (std::size_t index = 0; index < args.size(); ++index) {
        if (args[index] != "--plugin" || index + 1 == args.size()) {
            std::fprintf(stderr, "rankexec-worker: usage: rankexec-worker [--plugin FILE]...; not understood: %s\n",
                         args[index].c_str());
            return 2;
        }
        try {
            rankexec::load_plugin(args[++index], registry);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "rankexec-worker: %s\n", error.what());
            return 2;
        }
    }
    return rankexec::worker::run(registry);
}
