// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <exception>

#include "rankexec/core/process/guardian.hpp"

int main() {
    try {
        return rankexec::process::run_guardian();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "rankexec-guardian: %s\n", error.what());
        return 1;
    }
}
