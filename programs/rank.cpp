// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <exception>

#include "rankexec/worker/rank_shim.hpp"

int main(int argc, char** argv) {
    try {
        return rankexec::worker::run_rank_shim({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "rankexec-rank: %s\n", error.what());
        return rankexec::worker::kShimFailed;
    }
}
