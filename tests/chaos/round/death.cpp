// SPDX-License-Identifier: Apache-2.0
// A rank dies; the call that notices names it, its host, and how it died.
#include <csignal>
#include <cstdlib>
#include <thread>

#include "rankexec/core/component/engine.hpp"
#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

using rankexec::ExitStatus;
using rankexec::Failure;

struct Way {
    std::string name;
    ExitStatus status;
};

const std::vector<Way>& ways() {
    static const std::vector<Way> kWays{{"exit0", {false, 0}},
                                        {"exit3", {false, 3}},
                                        {"abort", {true, SIGABRT}},
                                        {"segv", {true, SIGSEGV}},
                                        {"kill", {true, SIGKILL}}};
    return kWays;
}

const char* const kStamp = "/tmp/chaos_death";

std::string compare(const std::optional<Failure>& failure, int rank, const Way& way, const std::string& phase) {
    const auto expected = "rank " + std::to_string(rank) + " by " + way.name + " in phase " + phase;
    if (!failure) return "no failure; expected " + expected;
    if (failure->rank == rank && failure->exit == way.status) return {};
    return "expected " + expected + ", got: " + failure->describe();
}

}  // namespace

Outcome death(const RoundOptions& round) {
    Dice dice(round.seed);
    const bool busy = round.variant == "busy";
    const auto phase =
        busy ? std::string("execute")
             : dice.pick(std::vector<std::string>{"hello", "init", "execute", "execute", "execute", "event", "idle"});
    const auto& way = dice.pick(ways());
    auto options = group_options(round);
    if (busy) options.group.world_size = 4 * static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    const int victim = dice.roll(options.group.world_size);
    options.group.environment = {std::string("CHAOS_STAMP=") + kStamp};
    if (phase == "hello" || phase == "init") {
        options.group.environment.push_back("CHAOS_DIE=" + phase + ":" + std::to_string(victim) + ":" + way.name);
    }

    const Surroundings before;
    std::optional<Failure> failure;
    Clock::time_point returned;
    Clock::time_point called;
    {
        rankexec::Engine engine;
        auto& executor = static_cast<rankexec::MultiProcessExecutor&>(
            engine.add("group", std::make_unique<rankexec::MultiProcessExecutor>(options)));
        auto context = engine.new_context();
        const auto headers = with_headers({{"rank", victim}, {"how", way.name}, {"others", busy ? "spin" : "block"}});
        called = Clock::now();
        const auto ready = executor.initialise(context);
        returned = Clock::now();
        if (!ready) failure = ready.error();
        if (ready && (phase == "hello" || phase == "init")) return Outcome::failed("initialise did not fail");
        if (!ready && phase != "hello" && phase != "init") return Outcome::failed(ready.error().describe());
        if (ready) {
            std::string task = "die";
            if (phase == "event") {
                context.set("victim", victim);
                context.set("how", way.name);
                engine.fire_event("chaos.die", context);
                task = "block";
            } else if (phase == "idle") {
                const auto reply = executor.execute("die_later", headers, context, {});
                if (reply.code != rankexec::ReturnCode::ok) return Outcome::failed("the task before was not ok");
                task = "block";
                std::this_thread::sleep_for(dice.up_to(milliseconds(30)));
            }
            called = Clock::now();
            const auto reply = executor.execute(task, headers, context, {});
            returned = Clock::now();
            failure = reply.failure;
        }
    }
    const auto died = moment_of(kStamp);
    if (!died) return Outcome::failed("the rank did not die: " + (failure ? failure->describe() : ""));
    Outcome outcome;
    outcome.wrong = compare(failure, victim, way, phase);
    const auto noticed = std::chrono::duration<double, std::milli>(returned - std::max(*died, called)).count();
    outcome.figures[phase == "hello" ? "before_hello_ms" : busy ? "busy_ms" : "blocked_ms"] = noticed;
    if (outcome.wrong.empty() && before.wait_until_clean(milliseconds(2000)) < 0) {
        outcome.wrong = "left: " + joined(before.new_since());
    }
    return outcome;
}

}  // namespace chaos
