// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "rankexec/core/bench/measurement.hpp"
#include "rankexec/core/executor/multi_process_executor.hpp"
#include "rankexec/core/model/signal.hpp"

namespace rankexec::bench {

struct BenchOptions {
    /// Worker, components and what starts the ranks. A case sets ranks, launcher and transport.
    MultiProcessOptions group;
    std::vector<Case> cases;
    std::string task;          ///< for Scenario::task
    bool all_results = false;  ///< for Scenario::task
    int repetitions = 0;       ///< 0: what suits the scenario
    int warm_up = -1;          ///< repetitions before those that count; negative: what suits the scenario
    /// A case that takes longer ends with fewer repetitions, three at least.
    std::chrono::milliseconds case_time{10'000};
    std::chrono::milliseconds soak_time{10'000};
    Signal abort;  ///< ends the run
    /// Called before each case and with what it gave.
    std::function<void(const Case&)> on_case;
    std::function<void(const Measurement&)> on_measurement;
};

struct BenchOutcome {
    std::vector<Measurement> measurements;  ///< in the order of the cases; fewer when the run was aborted
    std::optional<Failure> failure;         ///< the first; cases after it were measured all the same
};

/// Measures every case, one after another, each with a group of its own. Throws ConfigurationError for a mistake in
/// the options. On return nothing of the groups is left.
[[nodiscard]] BenchOutcome run_bench(const BenchOptions& options);

}  // namespace rankexec::bench
