// SPDX-License-Identifier: Apache-2.0
// Ranks that ignore what they are told, and what they leave in the background: gone soon after the grace.
#include <fstream>

#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {

Outcome stubborn(const RoundOptions& round) {
    // To return from the task, then from SIGTERM to SIGKILL.
    constexpr milliseconds kAbortGrace{100};
    constexpr milliseconds kGrace{300};
    constexpr milliseconds kAfterGrace{500};
    const char* const stamp = "/tmp/chaos_stubborn";
    auto options = group_options(round);
    options.abort_grace = kAbortGrace;
    options.group.grace = kGrace;
    options.group.environment = {std::string("CHAOS_STAMP=") + stamp};
    const Surroundings before;
    rankexec::MultiProcessExecutor executor(options);
    rankexec::Context context;
    if (const auto ready = executor.initialise(context); !ready) return Outcome::failed(ready.error().describe());
    auto answer = executor.request_execute("stubborn", with_headers({{"how", round.variant}}), context);
    const bool begun = eventually(milliseconds(10'000), [&] { return std::ifstream(stamp).good(); });
    if (!begun) return Outcome::failed("the ranks have not begun");
    const auto begin = Clock::now();
    executor.finalise();
    Outcome outcome;
    outcome.figures["finalise_ms"] = milliseconds_since(begin);
    std::remove(stamp);
    const auto left = before.new_since();
    if (!left.empty()) outcome.wrong = "left when finalise returned: " + joined(left);
    if (outcome.figures["finalise_ms"] > static_cast<double>(allowed(kAbortGrace + kGrace + kAfterGrace).count())) {
        outcome.wrong = "finalise took " + std::to_string(outcome.figures["finalise_ms"]) + " ms";
    }
    return outcome;
}

}  // namespace chaos
