// SPDX-License-Identifier: Apache-2.0
#include <thread>

#include "host.hpp"
#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

bool is_local(const RoundOptions& round) { return round.launcher == "local"; }

/// How long a phase takes at most, more or less: the moment of the kill lies anywhere in it.
microseconds length_of(Phase phase, bool local) {
    if (phase == Phase::launch) return local ? milliseconds(60) : milliseconds(900);
    if (phase == Phase::finalise || phase == Phase::again) return local ? milliseconds(15) : milliseconds(300);
    return milliseconds(6);
}

}  // namespace

Outcome orphans(const RoundOptions& round) {
    Dice dice(round.seed);
    const Surroundings before;
    Host host(round);
    // Twice as often while the group is being made, the longest and most varied phase.
    const auto phase = dice.pick(
        std::vector{Phase::launch, Phase::launch, Phase::execute, Phase::event, Phase::finalise, Phase::again});
    if (!host.wait_for(phase)) return Outcome::failed("the host ended before it was killed");
    std::this_thread::sleep_for(dice.up_to(length_of(phase, is_local(round))));
    host.kill();
    const auto limit = is_local(round) ? milliseconds(1000) : milliseconds(5000);
    const auto gone = before.wait_until_clean(limit);
    if (gone < 0) {
        return Outcome::failed("killed in phase " + std::string(1, static_cast<char>(phase)) + "; left after " +
                               std::to_string(limit.count()) + " ms: " + joined(before.new_since()));
    }
    return {{}, {{"gone_ms", gone}}};
}

}  // namespace chaos
