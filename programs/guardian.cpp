// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstring>
#include <exception>

#include "rankexec/core/process/guardian.hpp"
#include "rankexec/core/process/pid_namespace.hpp"

int main(int argc, char** argv) {
    if (argc == 1 && std::strcmp(argv[0], rankexec::process::kNamespaceInit) == 0) {
        rankexec::process::run_namespace_init();
    }
    try {
        return rankexec::process::run_guardian(argc > 1 ? argv[1] : "");
    } catch (const std::exception& error) {
        std::fprintf(stderr, "rankexec-guardian: %s\n", error.what());
        return 1;
    }
}
