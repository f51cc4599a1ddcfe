// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <thread>

#include "command.hpp"
#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

constexpr int kInterrupted = 130;
constexpr std::size_t kScreen = 24;

std::vector<std::string> arguments_for(const RoundOptions& round, const std::string& script) {
    std::vector<std::string> arguments{"launch", "-n", std::to_string(round.ranks), "--launcher", round.launcher};
    if (!round.command_template.empty()) {
        arguments.insert(arguments.end(), {"--command-template", round.command_template});
    }
    arguments.insert(arguments.end(), {"--grace", "20", "--", "/bin/sh", "-c", script});
    return arguments;
}

}  // namespace

Outcome interrupts(const RoundOptions& round) {
    const bool graceful = round.variant == "once";
    const std::string script = graceful ? "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done"
                                        : "trap '' TERM INT; echo up; while :; do sleep 0.02; done";
    const Surroundings before;
    const auto ranks = static_cast<std::size_t>(round.ranks);
    Outcome outcome;
    {
        Command command(arguments_for(round, script));
        if (!command.wait_for_lines(ranks)) return Outcome::failed("not all ranks are up: " + command.errors());
        const auto begin = Clock::now();
        command.signal(SIGINT);
        const int times = graceful ? 1 : round.variant == "twice" ? 2 : 3;
        for (int time = 1; time < times; ++time) {
            std::this_thread::sleep_for(milliseconds(time == 1 ? 100 : 5));
            command.signal(SIGINT);
        }
        const auto code = command.wait(milliseconds(10'000));
        outcome.figures["over_ms"] = milliseconds_since(begin);
        if (!code) return Outcome::failed("the command is not over after 10 s");
        if (*code != kInterrupted) return Outcome::failed("exit code " + std::to_string(*code));
        if (lines_of(command.errors()) > kScreen) return Outcome::failed("more than a screen: " + command.errors());
        if (graceful && command.output().find("bye") == std::string::npos) {
            return Outcome::failed("the ranks had no time for their last words: " + command.output());
        }
    }
    // After the third the guardian alone is left, for the orphan grace.
    const auto gone = before.wait_until_clean(milliseconds(round.launcher == "local" ? 1000 : 5000));
    if (gone < 0) outcome.wrong = "left: " + joined(before.new_since());
    outcome.figures["gone_ms"] = gone;
    return outcome;
}

}  // namespace chaos
