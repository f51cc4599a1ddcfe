// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <exception>

#include "rankexec/core/process/guardian.hpp"

int main(int argc, char** argv) {
    try {
        return rankexec::process::run_guardian(argc > 1 ? argv[1] : "");
    } catch (const std::exception& error) {
        std::fprintf(stderr, "rankexec-guardian: %s\n", error.what());
        return 1;
    }
}
