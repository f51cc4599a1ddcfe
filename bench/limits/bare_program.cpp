// SPDX-License-Identifier: Apache-2.0
// bare_program: a C++ program that loads its runtime, writes one byte and ends; for spawn_limit.
#include <iostream>

int main() {
    std::cout << 'x' << std::flush;
    return 0;
}
