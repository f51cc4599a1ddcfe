// SPDX-License-Identifier: Apache-2.0
// Ranks in a PID namespace put daemons into the background. Then the guardian is killed, alone or with the
// parent, or the first process of the namespace: nothing at all is left. Or a rank is killed: the failure
// names it by the pid that everybody else knows.
#include <algorithm>
#include <csignal>

#include <unistd.h>

#include "host.hpp"
#include "rankexec/ipc/transport/run_directory.hpp"
#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

constexpr milliseconds kLimit{2000};
constexpr milliseconds kStartLimit{20'000};

std::vector<pid_t> living(const std::string& part_of_command) {
    std::vector<pid_t> found;
    for (const auto& process : all_processes()) {
        if (process.state != 'Z' && process.command.find(part_of_command) != std::string::npos) {
            found.push_back(process.pid);
        }
    }
    return found;
}

/// Each rank has left one.
bool daemons_are_up(int ranks) { return living("/chaos_worker").size() >= 2 * static_cast<std::size_t>(ranks); }

pid_t child_named(const std::string& name, pid_t parent) {
    for (const auto& process : all_processes()) {
        if (process.parent == parent && process.command.starts_with(name)) return process.pid;
    }
    return 0;
}

std::string left_after(const Surroundings& before, std::map<std::string, double>& figures) {
    const auto begin = Clock::now();
    if (!eventually(kLimit, [&] { return before.new_processes().empty(); })) {
        return "left after " + std::to_string(kLimit.count()) + " ms: " + joined(before.new_processes());
    }
    figures["gone_ms"] = milliseconds_since(begin);
    return {};
}

Outcome with_parent(const RoundOptions& round) {
    const Surroundings before;
    Outcome outcome;
    Host host(round);
    if (!host.wait_for(Phase::execute)) return Outcome::failed("the host ended before it was killed");
    if (!eventually(kStartLimit, [&] { return daemons_are_up(round.ranks); })) return Outcome::failed("no daemons");
    const auto guardian = child_named("rankexec-guardian", host.pid());
    if (guardian == 0) return Outcome::failed("there is no guardian");
    ::kill(guardian, SIGKILL);
    host.kill();
    outcome.wrong = left_after(before, outcome.figures);
    rankexec::remove_abandoned_run_directories("/tmp", std::chrono::seconds(0));
    return outcome;
}

std::string compare(const rankexec::Shareable& reply, pid_t victim) {
    if (!reply.failure || reply.failure->pid != victim || !reply.failure->exit ||
        reply.failure->exit->number != SIGKILL) {
        return "killed " + std::to_string(victim) + ", got: " + (reply.failure ? reply.failure->describe() : "success");
    }
    return {};
}

}  // namespace

Outcome contained(const RoundOptions& options) {
    Dice dice(options.seed);
    auto round = options;
    round.contained = true;
    const auto killed = round.variant;
    round.variant = dice.pick(std::vector<std::string>{"double_fork", "setsid"});
    if (killed == "guardian_and_parent") return with_parent(round);
    const Surroundings before;
    Outcome outcome;
    {
        rankexec::MultiProcessExecutor executor(group_options(round));
        rankexec::Context context;
        if (const auto ready = executor.initialise(context); !ready) return Outcome::failed(ready.error().describe());
        auto answer = executor.request_execute("stubborn", with_headers({{"how", round.variant}}), context);
        if (!eventually(kStartLimit, [&] { return daemons_are_up(round.ranks); })) return Outcome::failed("no daemons");
        const auto guardian = child_named("rankexec-guardian", ::getpid());
        const auto ranks = executor.report().ranks;
        const auto victim = killed == "guardian" ? guardian
                            : killed == "init"   ? child_named("rankexec-init", guardian)
                                                 : static_cast<pid_t>(dice.pick(ranks).pid);
        if (victim <= 0) return Outcome::failed("there is no " + killed + " to kill");
        const auto workers = living("/chaos_worker");
        if (killed == "rank" && std::ranges::find(workers, victim) == workers.end()) {
            return Outcome::failed("pid " + std::to_string(victim) + " is no rank's");
        }
        ::kill(victim, SIGKILL);
        if (killed != "rank") outcome.wrong = left_after(before, outcome.figures);
        const auto reply = answer.get().reply;
        if (reply.code == rankexec::ReturnCode::ok) outcome.wrong = "the task succeeded";
        if (killed == "rank") outcome.wrong = compare(reply, victim);
        executor.finalise();
    }
    if (outcome.wrong.empty() && before.wait_until_clean(kLimit) < 0) {
        outcome.wrong = "left: " + joined(before.new_since());
    }
    return outcome;
}

}  // namespace chaos
