// SPDX-License-Identifier: Apache-2.0
// Ranks send what is not wanted any more, or not yet: it is dropped and counted, and the task gets its answer.
#include "surroundings.hpp"
#include "trusted.hpp"

namespace chaos {

Outcome late_and_stale(const RoundOptions& round) {
    constexpr int kTasks = 20;
    Dice dice(round.seed);
    auto options = group_options(round);
    options.group.program = {CHAOS_ROGUE};
    rankexec::MultiProcessExecutor executor(options);
    rankexec::Context context;
    if (const auto ready = executor.initialise(context); !ready) return Outcome::failed(ready.error().describe());
    const auto execute = [&](const std::string& task) {
        rankexec::ExecuteOptions all;
        all.all_results = true;
        const auto headers = with_headers({{"rank", dice.roll(round.ranks)}});
        return executor.execute(task, headers, context, {}, all).reply;
    };

    Outcome outcome;
    const std::vector<std::string> ways{"earlier", "foreign", "duplicate", "repeated", "late", "future"};
    (void)execute("work");  // something to be late with
    std::uint64_t expected = 0;
    for (int task = 0; task < kTasks && outcome.wrong.empty(); ++task) {
        const auto& way = dice.pick(ways);
        const auto reply = execute(way);
        ++expected;
        if (reply.code != rankexec::ReturnCode::ok) {
            outcome.wrong = way + ": " + (reply.failure ? reply.failure->describe() : "not ok");
        }
        if (!eventually(milliseconds(10'000), [&] { return executor.report().dropped_messages >= expected; })) {
            outcome.wrong = way + " was not counted";
        }
    }
    const auto counted = executor.report().dropped_messages;
    if (outcome.wrong.empty() && execute("work").code != rankexec::ReturnCode::ok) outcome.wrong = "no work any more";
    if (outcome.wrong.empty() && counted != expected) {
        outcome.wrong = "counted " + std::to_string(counted) + " of " + std::to_string(expected);
    }
    outcome.figures["dropped_messages"] = static_cast<double>(counted);
    return outcome;
}

}  // namespace chaos
