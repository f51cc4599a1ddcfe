// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>

#include "rankexec/core/bench/components.hpp"
#include "rankexec/core/bench/measure.hpp"
#include "rankexec/core/bench/payload.hpp"

namespace rankexec::bench {
namespace {

using Sample = tl::expected<double, Failure>;

Failure wrong_contents(const char* where) {
    Failure failure;
    failure.code = ReturnCode::execution_result_error;
    failure.message = std::string("the contents that came over differ from those that were sent: ") + where;
    return failure;
}

/// The checksums that all ranks have answered with.
bool all_say(const GroupReply& reply, std::uint64_t expected) {
    const auto right = [&](const Shareable& result) {
        const auto* const sum = result.body.find(kChecksum);
        return sum != nullptr && sum->if_integer() != nullptr &&
               *sum->if_integer() == std::bit_cast<std::int64_t>(expected);
    };
    return !reply.results.empty() && std::all_of(reply.results.begin(), reply.results.end(), right);
}

/// Contents of their own, where the case wants them.
Payload next_payload(const Bench& bench, PayloadSource& source, std::uint64_t seed) {
    return bench.where.in_place ? build_payload(bench.group.allocate(bench.where.payload), seed) : source.next(seed);
}

/// Executes and times one task; the processor time counts when the repetition does.
tl::expected<GroupReply, Failure> timed(const Bench& bench, const std::string& task, const Shareable& input,
                                        bool all_results, double& time) {
    if (bench.sampler.counts()) bench.meter.begin();
    const auto begin = Clock::now();
    auto reply = bench.group.execute(task, input, all_results);
    time = microseconds_since(begin);
    if (bench.sampler.counts()) bench.meter.end();
    return reply;
}

}  // namespace

tl::expected<void, Failure> measure_small_task(const Bench& bench, const std::string& task, bool all_results) {
    return bench.sampler.run_metered(bench.meter, [&]() -> Sample {
        const auto begin = Clock::now();
        auto reply = bench.group.execute(task, bench.group.input(), all_results);
        const auto time = microseconds_since(begin);
        if (!reply) return tl::unexpected(std::move(reply.error()));
        return time;
    });
}

tl::expected<void, Failure> measure_tensor_task(const Bench& bench, const std::string& task, bool all_results) {
    PayloadSource source(bench.where.payload);
    auto input = bench.group.input();
    std::uint64_t seed = 0;
    return bench.sampler.run([&]() -> Sample {
        input.tensors[kPayload] = next_payload(bench, source, ++seed).tensor;
        double time = 0;
        auto reply = timed(bench, task, input, all_results, time);
        input.tensors.clear();
        if (!reply) return tl::unexpected(std::move(reply.error()));
        return time;
    });
}

tl::expected<void, Failure> measure_fan_out(const Bench& bench, bool read_inside) {
    PayloadSource source(bench.where.payload);
    auto input = bench.group.input();
    std::uint64_t seed = 0;
    return bench.sampler.run([&]() -> Sample {
        auto payload = next_payload(bench, source, ++seed);
        input.tensors[kPayload] = std::move(payload.tensor);
        double time = 0;
        auto reply = timed(bench, read_inside ? task::kRead : task::kKeep, input, read_inside, time);
        input.tensors.clear();
        if (reply && !read_inside) reply = bench.group.execute(task::kCheck, bench.group.input(), true);
        if (!reply) return tl::unexpected(std::move(reply.error()));
        if (!all_say(*reply, payload.checksum)) return tl::unexpected(wrong_contents("from parent to rank"));
        return time;
    });
}

tl::expected<void, Failure> measure_gather(const Bench& bench) {
    auto input = bench.group.input();
    input.headers[kBytes] = static_cast<std::int64_t>(bench.where.payload);
    input.headers[kInPlace] = bench.where.in_place;
    std::int64_t seed = 0;
    return bench.sampler.run([&]() -> Sample {
        input.headers[kSeed] = ++seed;
        const auto prepared = bench.group.execute(task::kPrepare, input, true);
        if (!prepared) return tl::unexpected(prepared.error());
        const auto& expected = prepared->results.front().body;
        if (bench.sampler.counts()) bench.meter.begin();
        const auto begin = Clock::now();
        const auto reply = bench.group.execute(task::kGive, bench.group.input(), true);
        bool right = reply.has_value();
        for (std::size_t rank = 0; right && rank < reply->results.size(); ++rank) {
            const auto* const tensor = reply->results[rank].tensor(kPayload);
            const auto sum = tensor != nullptr ? checksum(tensor->bytes()) : 0;
            right = tensor != nullptr && *expected.find(kChecksum) == Value(std::bit_cast<std::int64_t>(sum));
        }
        const auto time = microseconds_since(begin);
        if (bench.sampler.counts()) bench.meter.end();
        if (!reply) return tl::unexpected(reply.error());
        if (!right) return tl::unexpected(wrong_contents("from rank to parent"));
        return time;
    });
}

}  // namespace rankexec::bench
