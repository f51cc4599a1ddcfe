// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <tl/expected.hpp>

#include "rankexec/core/bench/bench_group.hpp"
#include "rankexec/core/bench/sampler.hpp"

/// The scenarios. Each fills the sampler.
namespace rankexec::bench {

/// What a scenario that uses one group for all repetitions works with.
struct Bench {
    const BenchOptions& options;
    const Case& where;
    BenchGroup& group;  ///< ready
    Sampler& sampler;
    ProcessorMeter& meter;
};

[[nodiscard]] tl::expected<void, Failure> measure_small_task(const Bench& bench, const std::string& task,
                                                             bool all_results);
/// The payload as a tensor of the input; contents new each time.
[[nodiscard]] tl::expected<void, Failure> measure_tensor_task(const Bench& bench, const std::string& task,
                                                              bool all_results);
/// `read_inside`: the ranks read the tensor within the timed part; they check its contents either way.
[[nodiscard]] tl::expected<void, Failure> measure_fan_out(const Bench& bench, bool read_inside);
[[nodiscard]] tl::expected<void, Failure> measure_gather(const Bench& bench);

/// Each sample is one event; the sampler's repetitions are tasks that fire many.
[[nodiscard]] tl::expected<std::vector<double>, Failure> measure_events(const Bench& bench);
[[nodiscard]] tl::expected<void, Failure> measure_event_rate(const Bench& bench);
[[nodiscard]] tl::expected<void, Failure> measure_event_stream(const Bench& bench);
[[nodiscard]] tl::expected<std::vector<double>, Failure> measure_soak(const Bench& bench, Measurement& measurement);

/// A group for each repetition.
[[nodiscard]] tl::expected<void, Failure> measure_start(const BenchOptions& options, const Case& where,
                                                        Sampler& sampler);
[[nodiscard]] tl::expected<void, Failure> measure_stop(const BenchOptions& options, const Case& where,
                                                       Sampler& sampler);
[[nodiscard]] tl::expected<void, Failure> measure_death(const BenchOptions& options, const Case& where,
                                                        Sampler& sampler);

}  // namespace rankexec::bench
