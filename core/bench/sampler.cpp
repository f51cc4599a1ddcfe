// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/sampler.hpp"

#include <algorithm>

namespace rankexec::bench {
namespace {

constexpr int kFewest = 3;

Plan usual_plan(const Case& where) {
    switch (where.scenario) {
        case Scenario::start:
        case Scenario::stop:
        case Scenario::death: return {1, 10};
        case Scenario::events:
        case Scenario::event_rate:
        case Scenario::event_stream: return {1, 5};
        case Scenario::soak: return {0, 0};
        default: break;
    }
    if (where.silence.count() > 0) return {10, 100};
    if (where.payload < (1U << 16U)) return {200, 2000};
    // A few seconds, whatever the size: what is moved in all is bounded.
    const auto moved = where.payload * static_cast<std::uint64_t>(where.ranks);
    const auto affordable = static_cast<int>(std::clamp<std::uint64_t>((std::uint64_t{8} << 30U) / moved, 10, 500));
    return {4, affordable};
}

Failure aborted(const Signal& abort) {
    Failure failure;
    failure.code = ReturnCode::task_aborted;
    failure.message = abort.reason();
    return failure;
}

}  // namespace

Plan plan_of(const BenchOptions& options, const Case& where) {
    auto plan = usual_plan(where);
    if (options.repetitions > 0) plan.repetitions = options.repetitions;
    if (options.warm_up >= 0) plan.warm_up = options.warm_up;
    return plan;
}

tl::expected<void, Failure> Sampler::run(const std::function<tl::expected<double, Failure>()>& once) {
    counting_ = false;
    const auto begin = Clock::now();
    for (int turn = 0; turn < plan_.warm_up; ++turn) {
        if (auto done = sample(once); !done) return tl::unexpected(std::move(done.error()));
        if (Clock::now() - begin > options_.case_time) break;
    }
    counting_ = true;
    for (int turn = 0; turn < plan_.repetitions; ++turn) {
        auto done = sample(once);
        if (!done) return tl::unexpected(std::move(done.error()));
        samples_.push_back(*done);
        if (turn + 1 >= kFewest && Clock::now() - begin > options_.case_time) break;
    }
    return {};
}

tl::expected<void, Failure> Sampler::run_metered(ProcessorMeter& meter,
                                                 const std::function<tl::expected<double, Failure>()>& once) {
    bool begun = false;
    auto done = run([&]() -> tl::expected<double, Failure> {
        if (counting_ && !begun) {
            begun = true;
            meter.begin();
        }
        return once();
    });
    if (begun) meter.end();
    return done;
}

tl::expected<double, Failure> Sampler::sample(const std::function<tl::expected<double, Failure>()>& once) const {
    if (where_.silence.count() > 0) (void)options_.abort.wait_for(where_.silence);
    if (options_.abort.triggered()) return tl::unexpected(aborted(options_.abort));
    return once();
}

}  // namespace rankexec::bench
