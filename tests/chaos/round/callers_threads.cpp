// SPDX-License-Identifier: Apache-2.0
// The thread that made and initialised the executor ends: death signals follow threads, and the ranks must
// not hear of it.
#include <memory>
#include <thread>

#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {

Outcome callers_threads(const RoundOptions& round) {
    Dice dice(round.seed);
    const Surroundings before;
    Outcome outcome;
    rankexec::Context context;
    std::unique_ptr<rankexec::MultiProcessExecutor> executor;
    for (int incarnation = 0; incarnation < 2 && outcome.wrong.empty(); ++incarnation) {
        std::thread([&] {
            if (!executor) executor = std::make_unique<rankexec::MultiProcessExecutor>(group_options(round));
            if (const auto ready = executor->initialise(context); !ready) outcome.wrong = ready.error().describe();
        }).join();
        std::this_thread::sleep_for(dice.up_to(milliseconds(50)));
        for (int task = 0; task < 3 && outcome.wrong.empty(); ++task) {
            std::thread([&] {
                const auto reply = executor->execute("work", {}, context, {});
                if (!reply.ok()) outcome.wrong = reply.failure ? reply.failure->describe() : "the task failed";
            }).join();
        }
        std::thread([&] { executor->finalise(); }).join();
    }
    std::thread([&] { executor.reset(); }).join();
    if (outcome.wrong.empty() && before.wait_until_clean(milliseconds(1000)) < 0) {
        outcome.wrong = "left: " + joined(before.new_since());
    }
    return outcome;
}

}  // namespace chaos
