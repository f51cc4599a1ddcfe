// SPDX-License-Identifier: Apache-2.0
// A rank does to the memory that it shares with its parent whatever it can: its own task may fail, the parent and its
// other groups are not harmed.
#include <array>
#include <mutex>

#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

using rankexec::ReturnCode;

struct Groups {
    rankexec::MultiProcessExecutor victim;
    rankexec::MultiProcessExecutor bystander;
    rankexec::Context context;
};

/// Nothing but what the rank itself did is to blame.
std::string judge(const RoundOptions& round, int rank, const rankexec::GroupReply& got) {
    const auto& reply = got.reply;
    const bool dies = round.variant.starts_with("die");
    if (round.variant == "seals") {
        if (!reply.ok()) return reply.failure->describe();
        const auto managed = got.results.at(static_cast<std::size_t>(rank)).header("managed")->text_or("?");
        return managed.empty() ? std::string() : "rank " + std::to_string(rank) + " managed: " + managed;
    }
    if (!dies || reply.ok()) return {};
    if (reply.failure->rank != rank)
        return "rank " + std::to_string(rank) + " is not named: " + reply.failure->describe();
    return {};
}

std::string torment(const RoundOptions& round, Dice& dice, Groups& groups) {
    const int rank = dice.roll(round.ranks);
    const auto work = [&](rankexec::MultiProcessExecutor& group, const char* task) {
        const auto input = with_headers({{"rank", rank}, {"how", round.variant}, {"seed", dice.roll(1 << 30)}});
        return group.execute(task, input, groups.context, {}, {.deadline = milliseconds(2000), .all_results = true});
    };
    // So that there are segments for results too.
    if (!work(groups.victim, "large").reply.ok()) return "no large result";
    const auto wrong = judge(round, rank, work(groups.victim, "memory"));
    if (!wrong.empty()) return wrong;
    constexpr std::array kTasks{"nothing", "large", "events"};
    for (std::size_t task = 0; task < 21; ++task) {
        const auto reply = work(groups.victim, kTasks[task % kTasks.size()]).reply;
        if (round.variant == "seals" && !reply.ok()) return "no work any more: " + reply.failure->describe();
        // What a scribbled answer says is the rank's affair, but it must be a reply or a failure of this group.
        if (!reply.ok() && !reply.failure) return "a failure without words";
        if (const auto other = work(groups.bystander, "nothing").reply; !other.ok()) {
            return "the other group was harmed: " + other.failure->describe();
        }
        if (!reply.ok()) break;
    }
    return {};
}

}  // namespace

Outcome shared_memory(const RoundOptions& round) {
    Dice dice(round.seed);
    auto options = group_options(round);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(200);
    std::mutex mutex;
    std::string said;
    options.on_output = [&](int, rankexec::wire::OutputStream, std::string_view bytes) {
        const std::lock_guard lock(mutex);
        said.append(bytes);
    };
    const Surroundings before;
    Outcome outcome;
    {
        Groups groups{rankexec::MultiProcessExecutor(options), rankexec::MultiProcessExecutor(options), {}};
        for (auto* group : {&groups.victim, &groups.bystander}) {
            if (const auto ready = group->initialise(groups.context); !ready)
                return Outcome::failed(ready.error().describe());
        }
        if (groups.victim.report().ranks.at(0).transport != "memory") {
            groups.victim.finalise();
            const std::lock_guard lock(mutex);
            return Outcome::failed("no memory is shared: " + said);
        }
        outcome.wrong = torment(round, dice, groups);
        const auto begin = Clock::now();
        groups.victim.finalise();
        outcome.figures["finalise_ms"] = milliseconds_since(begin);
        if (outcome.wrong.empty() && !groups.victim.initialise(groups.context)) outcome.wrong = "no group any more";
    }
    if (outcome.wrong.empty() && before.wait_until_clean(milliseconds(2000)) < 0) {
        outcome.wrong = "left: " + joined(before.new_since());
    }
    return outcome;
}

}  // namespace chaos
