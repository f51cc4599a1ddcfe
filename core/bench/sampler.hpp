// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/bench/bench_options.hpp"
#include "rankexec/core/bench/process_usage.hpp"

namespace rankexec::bench {

using Clock = std::chrono::steady_clock;

[[nodiscard]] inline double microseconds_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

/// How often a case is repeated, before those that count and for those.
struct Plan {
    int warm_up = 0;
    int repetitions = 0;
};
/// What the options ask for, or what suits the case.
[[nodiscard]] Plan plan_of(const BenchOptions& options, const Case& where);

/// Repeats what is measured: warm-up, silences, the time limit, the abort.
class Sampler {
public:
    Sampler(const BenchOptions& options, const Case& where, Plan plan)
        : options_(options), where_(where), plan_(plan) {}

    /// `once` gives a sample. Its failure, or the abort, ends the case.
    [[nodiscard]] tl::expected<void, Failure> run(const std::function<tl::expected<double, Failure>()>& once);
    /// As run(), with the processor time between the first counting repetition and the last.
    [[nodiscard]] tl::expected<void, Failure> run_metered(ProcessorMeter& meter,
                                                          const std::function<tl::expected<double, Failure>()>& once);

    /// Whether the repetition that is under way counts.
    [[nodiscard]] bool counts() const noexcept { return counting_; }
    [[nodiscard]] const std::vector<double>& samples() const noexcept { return samples_; }

private:
    [[nodiscard]] tl::expected<double, Failure> sample(
        const std::function<tl::expected<double, Failure>()>& once) const;

    const BenchOptions& options_;
    const Case& where_;
    const Plan plan_;
    bool counting_ = false;
    std::vector<double> samples_;
};

}  // namespace rankexec::bench
