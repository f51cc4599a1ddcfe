// SPDX-License-Identifier: Apache-2.0
#include <csignal>

#include "rankexec/core/bench/components.hpp"
#include "rankexec/core/bench/measure.hpp"

namespace rankexec::bench {
namespace {

using Sample = tl::expected<double, Failure>;

Failure cannot_kill() {
    Failure failure;
    failure.code = ReturnCode::bad_request_data;
    failure.message = "not all ranks run on this host, and only those here can be killed";
    return failure;
}

}  // namespace

tl::expected<void, Failure> measure_start(const BenchOptions& options, const Case& where, Sampler& sampler) {
    return sampler.run([&]() -> Sample {
        const auto begin = Clock::now();
        BenchGroup group(options, where);
        auto ready = group.start();
        const auto time = microseconds_since(begin);
        if (!ready) return tl::unexpected(std::move(ready.error()));
        return time;
    });
}

tl::expected<void, Failure> measure_stop(const BenchOptions& options, const Case& where, Sampler& sampler) {
    return sampler.run([&]() -> Sample {
        BenchGroup group(options, where);
        if (auto ready = group.start(); !ready) return tl::unexpected(std::move(ready.error()));
        const auto begin = Clock::now();
        group.stop();
        return microseconds_since(begin);
    });
}

tl::expected<void, Failure> measure_death(const BenchOptions& options, const Case& where, Sampler& sampler) {
    return sampler.run([&]() -> Sample {
        BenchGroup group(options, where);
        if (auto ready = group.start(); !ready) return tl::unexpected(std::move(ready.error()));
        const auto pids = group.local_pids();
        if (pids.empty()) return tl::unexpected(cannot_kill());
        auto answer = group.request_execute(task::kWait, group.input());
        group.wait_for_events(pids.size());
        const auto begin = Clock::now();
        if (!options.abort.triggered()) ::kill(pids.back(), SIGKILL);
        answer.wait();
        return microseconds_since(begin);
    });
}

}  // namespace rankexec::bench
