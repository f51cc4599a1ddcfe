// SPDX-License-Identifier: Apache-2.0
// Some ranks make no progress until the task's deadline has passed: it names them, and where each stands.
#include <csignal>

#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

constexpr milliseconds kDeadline{1000};

bool is_at(const rankexec::RankStack& stack, const std::string& function) {
    for (const auto& frame : stack.frames) {
        if (frame.find(function) != std::string::npos) return true;
    }
    return false;
}

std::string judge(const rankexec::Failure& failure, const std::vector<int>& hung, int stopped) {
    if (failure.code != rankexec::ReturnCode::task_timeout) return "no deadline error: " + failure.describe();
    for (const int rank : hung) {
        const auto named = std::find(failure.ranks.begin(), failure.ranks.end(), rank);
        if (named == failure.ranks.end())
            return "rank " + std::to_string(rank) + " is not named: " + failure.describe();
        const auto stack = std::find_if(failure.stacks.begin(), failure.stacks.end(),
                                        [rank](const auto& one) { return one.rank == rank; });
        const bool told = stack != failure.stacks.end() &&
                          (rank == stopped ? stack->missing.starts_with("no answer") : is_at(*stack, "hang_here"));
        if (!told) return "rank " + std::to_string(rank) + " tells nothing: " + failure.describe();
    }
    return {};
}

}  // namespace

Outcome hang(const RoundOptions& round) {
    Dice dice(round.seed);
    auto options = group_options(round);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(200);
    std::vector<int> hung;
    for (int rank = 0; rank < options.group.world_size; ++rank) {
        if (dice.roll(2) == 0) hung.push_back(rank);
    }
    if (hung.empty()) hung.push_back(dice.roll(options.group.world_size));
    const int stopped = round.variant == "stopped" ? dice.pick(hung) : -1;

    const Surroundings before;
    Outcome outcome;
    {
        rankexec::MultiProcessExecutor executor(options);
        rankexec::Context context;
        if (const auto ready = executor.initialise(context); !ready) return Outcome::failed(ready.error().describe());
        rankexec::Value::Array list;
        for (const int rank : hung) list.emplace_back(rank);
        if (stopped >= 0) {
            const auto report = executor.report();
            ::kill(static_cast<pid_t>(report.ranks.at(static_cast<std::size_t>(stopped)).pid), SIGSTOP);
        }
        const auto begin = Clock::now();
        const auto input = with_headers({{"ranks", list}, {"how", round.variant}});
        const auto reply = executor.execute("hang", input, context, {}, {.deadline = kDeadline});
        outcome.figures["after_deadline_ms"] = milliseconds_since(begin) - static_cast<double>(kDeadline.count());
        outcome.wrong = reply.reply.failure ? judge(*reply.reply.failure, hung, stopped) : "the task did not fail";
    }
    if (outcome.wrong.empty() && before.wait_until_clean(milliseconds(2000)) < 0) {
        outcome.wrong = "left: " + joined(before.new_since());
    }
    return outcome;
}

}  // namespace chaos
