// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <utility>

#include "rankexec/core/bench/components.hpp"
#include "rankexec/core/bench/measure.hpp"
#include "rankexec/core/model/printable.hpp"

namespace rankexec::bench {
namespace {

using Done = tl::expected<void, Failure>;
constexpr std::size_t kLongestFailure = 400;

/// Of scenarios whose samples are not the sampler's.
Done take(tl::expected<std::vector<double>, Failure> samples, Measurement& measurement) {
    if (!samples) return tl::unexpected(std::move(samples.error()));
    measurement.figure = summarise(std::move(*samples));
    return {};
}

Done measure_on_group(const Bench& bench, Measurement& measurement) {
    const auto& options = bench.options;
    switch (bench.where.scenario) {
        case Scenario::round_trip: return measure_small_task(bench, task::kEcho, false);
        case Scenario::all_results: return measure_small_task(bench, task::kEcho, true);
        case Scenario::hand_out: return measure_fan_out(bench, false);
        case Scenario::fan_out: return measure_fan_out(bench, true);
        case Scenario::gather: return measure_gather(bench);
        case Scenario::task:
            return bench.where.payload > 0 ? measure_tensor_task(bench, options.task, options.all_results)
                                           : measure_small_task(bench, options.task, options.all_results);
        case Scenario::events: return take(measure_events(bench), measurement);
        case Scenario::event_rate: measurement.unit = "events/s"; return measure_event_rate(bench);
        case Scenario::event_stream: measurement.unit = "events/s"; return measure_event_stream(bench);
        default: return take(measure_soak(bench, measurement), measurement);
    }
}

Done measure_with_one_group(const BenchOptions& options, Sampler& sampler, Measurement& measurement) {
    const auto& where = measurement.where;
    BenchGroup group(options, where);
    if (auto ready = group.start(); !ready) return ready;
    measurement.channel = group.channel();
    ProcessorMeter meter(group.local_pids());
    const Bench bench{options, where, group, sampler, meter};
    if (auto done = measure_on_group(bench, measurement); !done) return done;
    if (measurement.figure.count == 0) measurement.figure = summarise(sampler.samples());
    const auto samples = static_cast<double>(measurement.figure.count);
    if (samples > 0) {
        measurement.parent_cpu = meter.parent() / samples;
        measurement.ranks_cpu = meter.ranks() < 0 ? -1 : meter.ranks() / samples;
    }
    measurement.rank_memory = group.peak_of_ranks();
    return {};
}

Done measure(const BenchOptions& options, Measurement& measurement) {
    const auto& where = measurement.where;
    Sampler sampler(options, where, plan_of(options, where));
    Done done;
    switch (where.scenario) {
        case Scenario::start: done = measure_start(options, where, sampler); break;
        case Scenario::stop: done = measure_stop(options, where, sampler); break;
        case Scenario::death: done = measure_death(options, where, sampler); break;
        default: return measure_with_one_group(options, sampler, measurement);
    }
    measurement.figure = summarise(sampler.samples());
    return done;
}

}  // namespace

BenchOutcome run_bench(const BenchOptions& options) {
    BenchOutcome outcome;
    for (const auto& where : options.cases) {
        if (options.abort.triggered()) break;
        if (options.on_case) options.on_case(where);
        Measurement measurement;
        measurement.where = where;
        reset_own_peak();
        const auto done = measure(options, measurement);
        measurement.parent_memory = peak_memory(::getpid());
        if (!done) {
            measurement.figure = {};
            const auto& failure = done.error();
            measurement.failure =
                printable(failure.message.empty() ? failure.headline() : failure.message, kLongestFailure);
            if (!outcome.failure) outcome.failure = done.error();
        }
        if (options.on_measurement) options.on_measurement(measurement);
        outcome.measurements.push_back(std::move(measurement));
    }
    return outcome;
}

}  // namespace rankexec::bench
