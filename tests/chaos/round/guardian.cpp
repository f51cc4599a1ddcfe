// SPDX-License-Identifier: Apache-2.0
// What supervises is killed: the guardian, a shim, the launcher, or guardian and parent together.
#include <sys/types.h>

#include <csignal>

#include "host.hpp"
#include "rankexec/ipc/transport/run_directory.hpp"
#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

constexpr milliseconds kLimit{2000};

std::vector<pid_t> processes_like(const std::string& text) {
    std::vector<pid_t> found;
    for (const auto& process : all_processes()) {
        if (process.command.find(text) != std::string::npos && process.state != 'Z') found.push_back(process.pid);
    }
    return found;
}

/// The launcher command is what the guardian started.
std::vector<pid_t> children_of(const std::vector<pid_t>& parents) {
    std::vector<pid_t> found;
    for (const auto& process : all_processes()) {
        for (const auto parent : parents) {
            if (process.parent == parent) found.push_back(process.pid);
        }
    }
    return found;
}

bool no_rank_left() { return processes_like("chaos_worker").empty(); }

Outcome after(Clock::time_point begin) {
    if (!eventually(kLimit, no_rank_left)) {
        std::vector<std::string> left;
        for (const auto& process : all_processes()) left.push_back(std::to_string(process.pid) + " " + process.command);
        return Outcome::failed("ranks are left: " + joined(left));
    }
    return {{}, {{"gone_ms", milliseconds_since(begin)}}};
}

Outcome with_parent(const RoundOptions& round) {
    Host host(round);
    if (!host.wait_for(Phase::execute)) return Outcome::failed("the host ended before it was killed");
    const auto guardians = processes_like("rankexec-guardian");
    if (guardians.size() != 1) return Outcome::failed("expected one guardian");
    const auto begin = Clock::now();
    ::kill(guardians.front(), SIGKILL);
    host.kill();
    auto outcome = after(begin);
    // Nobody is left who could remove it: the next group of this user does, some time later.
    rankexec::remove_abandoned_run_directories("/tmp", std::chrono::seconds(0));
    return outcome;
}

}  // namespace

Outcome guardian(const RoundOptions& round) {
    if (round.variant == "guardian_and_parent") return with_parent(round);
    Dice dice(round.seed);
    const Surroundings before;
    Outcome outcome;
    {
        rankexec::MultiProcessExecutor executor(group_options(round));
        rankexec::Context context;
        if (const auto ready = executor.initialise(context); !ready) return Outcome::failed(ready.error().describe());
        auto answer = executor.request_execute("block", {}, context);
        const auto guardians = processes_like("rankexec-guardian");
        const auto victims = round.variant == "shim"       ? processes_like("rankexec-rank")
                             : round.variant == "launcher" ? children_of(guardians)
                                                           : guardians;
        if (victims.empty()) return Outcome::failed("there is no " + round.variant + " to kill");
        const auto begin = Clock::now();
        ::kill(dice.pick(victims), SIGKILL);
        const auto reply = answer.get();
        outcome.figures["call_failed_ms"] = milliseconds_since(begin);
        if (reply.reply.code == rankexec::ReturnCode::ok) return Outcome::failed("the task succeeded");
        const auto left = after(begin);
        if (!left.wrong.empty()) return left;
        outcome.figures.insert(left.figures.begin(), left.figures.end());
        executor.finalise();
    }
    if (before.wait_until_clean(kLimit) < 0) outcome.wrong = "left: " + joined(before.new_since());
    return outcome;
}

}  // namespace chaos
