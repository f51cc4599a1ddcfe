// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstring>

#include "rankexec/core/bench/components.hpp"
#include "rankexec/core/bench/measure.hpp"
#include "rankexec/core/bench/payload.hpp"

namespace rankexec::bench {
namespace {

using Sample = tl::expected<double, Failure>;
constexpr std::int64_t kEventsPerTask = 400;
constexpr std::int64_t kEventsPerStream = 4000;

Failure events_lost(std::size_t expected, std::size_t seen) {
    Failure failure;
    failure.code = ReturnCode::execution_result_error;
    failure.message = "of " + std::to_string(expected) + " events, " + std::to_string(seen) + " were handled";
    return failure;
}

/// Fires so many events and returns the times that rank 0 has measured.
tl::expected<std::vector<double>, Failure> fire(const Bench& bench, std::int64_t count, bool all_ranks) {
    auto input = bench.group.input();
    input.headers[kCount] = count;
    input.headers[kAllRanks] = all_ranks;
    const auto expected = bench.group.events() + static_cast<std::size_t>(count * (all_ranks ? bench.where.ranks : 1));
    const auto reply = bench.group.execute(task::kFire, input, false);
    if (!reply) return tl::unexpected(reply.error());
    if (bench.group.events() != expected) return tl::unexpected(events_lost(expected, bench.group.events()));
    const auto* const times = reply->reply.tensor(kTimes);
    if (times == nullptr) return std::vector<double>();
    // Where a message has put the bytes, they need not be aligned.
    std::vector<double> samples(times->bytes().size() / sizeof(double));
    std::memcpy(samples.data(), times->bytes().data(), samples.size() * sizeof(double));
    return samples;
}

std::int64_t resident_of_all(const BenchGroup& group) {
    std::int64_t sum = resident_memory(::getpid());
    for (const auto pid : group.local_pids()) sum += resident_memory(pid);
    return sum;
}

/// One turn of the soak: now and then a tensor and an event between the small tasks.
Sample soak_once(const Bench& bench, PayloadSource& source, std::uint64_t turn) {
    if (turn % 16 == 15) {
        auto input = bench.group.input();
        auto payload = source.next(turn);
        input.tensors[kPayload] = std::move(payload.tensor);
        if (auto read = bench.group.execute(task::kRead, input, true); !read) return tl::unexpected(read.error());
        if (auto fired = fire(bench, 1, true); !fired) return tl::unexpected(fired.error());
    }
    const auto begin = Clock::now();
    auto reply = bench.group.execute(task::kEcho, bench.group.input(), false);
    const auto time = microseconds_since(begin);
    if (!reply) return tl::unexpected(std::move(reply.error()));
    return time;
}

/// Lets all ranks fire so many each, and checks that all have come, in order.
tl::expected<void, Failure> stream(const Bench& bench, std::int64_t count) {
    auto input = bench.group.input();
    input.headers[kCount] = count;
    input.headers[kAllRanks] = true;
    input.headers[kOneWay] = true;
    const auto expected = bench.group.events() + static_cast<std::size_t>(count * bench.where.ranks);
    if (auto done = bench.group.execute(task::kFire, input, false); !done) return tl::unexpected(done.error());
    if (bench.group.events() != expected) return tl::unexpected(events_lost(expected, bench.group.events()));
    if (bench.group.events_in_order()) return {};
    Failure failure;
    failure.code = ReturnCode::execution_result_error;
    failure.message = "events have come in another order than they were fired in";
    return tl::unexpected(std::move(failure));
}

}  // namespace

tl::expected<std::vector<double>, Failure> measure_events(const Bench& bench) {
    std::vector<double> times;
    auto done = bench.sampler.run_metered(bench.meter, [&]() -> Sample {
        auto fired = fire(bench, kEventsPerTask, false);
        if (!fired) return tl::unexpected(std::move(fired.error()));
        if (bench.sampler.counts()) times.insert(times.end(), fired->begin(), fired->end());
        return 0;
    });
    if (!done) return tl::unexpected(std::move(done.error()));
    return times;
}

tl::expected<void, Failure> measure_event_rate(const Bench& bench) {
    return bench.sampler.run_metered(bench.meter, [&]() -> Sample {
        const auto begin = Clock::now();
        const auto fired = fire(bench, kEventsPerTask, true);
        if (!fired) return tl::unexpected(fired.error());
        return static_cast<double>(kEventsPerTask * bench.where.ranks) * 1e6 / microseconds_since(begin);
    });
}

tl::expected<void, Failure> measure_event_stream(const Bench& bench) {
    return bench.sampler.run_metered(bench.meter, [&]() -> Sample {
        const auto begin = Clock::now();
        if (auto done = stream(bench, kEventsPerStream); !done) return tl::unexpected(done.error());
        return static_cast<double>(kEventsPerStream * bench.where.ranks) * 1e6 / microseconds_since(begin);
    });
}

tl::expected<std::vector<double>, Failure> measure_soak(const Bench& bench, Measurement& measurement) {
    PayloadSource source(std::uint64_t{1} << 20U);
    std::vector<double> times;
    const auto begin = Clock::now();
    const auto settled = begin + bench.options.soak_time / 5;
    const auto end = begin + bench.options.soak_time;
    std::int64_t first = -1;
    bench.meter.begin();
    for (std::uint64_t turn = 0; Clock::now() < end && !bench.options.abort.triggered(); ++turn) {
        if (first < 0 && Clock::now() > settled) first = resident_of_all(bench.group);
        auto time = soak_once(bench, source, turn);
        if (!time) return tl::unexpected(std::move(time.error()));
        times.push_back(*time);
    }
    bench.meter.end();
    if (first >= 0) measurement.growth = resident_of_all(bench.group) - first;
    return times;
}

}  // namespace rankexec::bench
