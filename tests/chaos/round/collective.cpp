// SPDX-License-Identifier: Apache-2.0
// One rank fails while the others sit in a Gloo collective, and throw because of it: the first is named.
#include <csignal>

#include "rankexec/core/component/engine.hpp"
#include "round.hpp"
#include "store_server.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

using rankexec::ExitStatus;
using rankexec::Failure;

const char* const kStamp = "/tmp/chaos_collective";
constexpr milliseconds kAbortGrace{300};
/// Until a rank's exception has become the failure of the task, beside the grace of the others; and what it
/// takes to get a core on a machine on which other rounds run.
constexpr double kNamedWithin = 40;
constexpr double kCoreWithin = 200;

/// What is wrong with the failure; empty: nothing.
std::string judge(const std::optional<Failure>& failure, int victim, const std::string& how) {
    const auto expected = "expected rank " + std::to_string(victim) + " by " + how;
    if (!failure) return expected + ", got no failure";
    const bool threw = how.starts_with("throw");
    const ExitStatus status = how == "exit3"   ? ExitStatus{false, 3}
                              : how == "abort" ? ExitStatus{true, SIGABRT}
                              : how == "segv"  ? ExitStatus{true, SIGSEGV}
                                               : ExitStatus{true, SIGKILL};
    const bool right = failure->rank == victim &&
                       (threw ? failure->message.starts_with("this rank is the first") : failure->exit == status);
    return right ? std::string() : expected + ", got: " + failure->describe();
}

}  // namespace

Outcome collective(const RoundOptions& round) {
    Dice dice(round.seed);
    auto options = group_options(round);
    options.group.program = {CHAOS_COLLECTIVE_WORKER};
    options.group.environment = {std::string("CHAOS_STAMP=") + kStamp};
    options.components = {{"store", "store", {}}, {"summing", "summing", {}}};
    options.executor_id = "summing";
    options.abort_grace = kAbortGrace;
    const int victim = dice.roll(options.group.world_size);
    const int steps = 1 + dice.roll(50);  // after one sum all are connected

    const Surroundings before;
    Outcome outcome;
    {
        rankexec::Engine engine;
        engine.add("store_server", std::make_unique<digits::StoreServer>());
        auto& executor = static_cast<rankexec::MultiProcessExecutor&>(
            engine.add("group", std::make_unique<rankexec::MultiProcessExecutor>(options)));
        auto context = engine.new_context();
        if (const auto ready = executor.initialise(context); !ready) return Outcome::failed(ready.error().describe());
        const auto input = with_headers({{"rank", victim}, {"how", round.variant}, {"steps", steps}});
        const auto reply = executor.execute("sum", input, context, {});
        const auto returned = Clock::now();
        outcome.wrong = judge(reply.failure, victim, round.variant);
        const auto failed = moment_of(kStamp);
        if (!failed) return Outcome::failed("the rank did not fail: " + outcome.wrong);
        const auto taken = std::chrono::duration<double, std::milli>(returned - *failed).count();
        outcome.figures["named_ms"] = taken;
        if (outcome.wrong.empty() && taken > kNamedWithin + kCoreWithin + static_cast<double>(kAbortGrace.count())) {
            outcome.wrong = "named after " + std::to_string(taken) + " ms";
        }
    }
    if (outcome.wrong.empty() && before.wait_until_clean(milliseconds(2000)) < 0) {
        outcome.wrong = "left: " + joined(before.new_since());
    }
    return outcome;
}

}  // namespace chaos
