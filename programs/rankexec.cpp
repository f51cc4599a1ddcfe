// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/commands.hpp"

int main(int argc, char** argv) { return rankexec::cli::run_command_line(argc, argv); }
