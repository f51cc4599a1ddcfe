// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "rankexec/core/cli/command_line.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 has chosen it
class App;
}

namespace rankexec::cli {

/// What CLI11 fills in for `rankexec bench`, before it is checked.
struct BenchWords {
    std::string ranks, scenarios, payloads, launchers, transports, silences, placements, hosts, command_template;
    std::string worker, component, task, job, repetitions, warm_up, case_time, soak_time;
    std::string json, html, svg, compare, from;
    std::vector<std::string> worker_args, launcher_args;
    bool all_results = false;
};

CLI::App* add_bench(CLI::App& app, BenchWords& words);

/// Throws UsageError.
[[nodiscard]] BenchCommand bench_command(const BenchWords& words, const std::vector<std::string>& launchers);

}  // namespace rankexec::cli
