// SPDX-License-Identifier: Apache-2.0
// What supervises is killed: the guardian, a shim, the launcher, or guardian and parent together.
#include <sys/types.h>

#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "host.hpp"
#include "rankexec/ipc/transport/run_directory.hpp"
#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

/// For ranks that obey.
constexpr milliseconds kLimit{2000};
/// For what supervised them: a shim's lease and its grace, and the launcher after it.
constexpr milliseconds kSupervisorLimit{10'000};

/// Processes whose argv[0] is, or ends with, that name.
std::vector<Process> processes_named(const std::string& name) {
    std::vector<Process> found;
    for (const auto& process : all_processes()) {
        const auto program = process.command.substr(0, process.command.find(' '));
        if (process.state != 'Z' && program.ends_with(name)) found.push_back(process);
    }
    return found;
}

/// A guardian's own short-lived helpers have its name too.
std::vector<pid_t> guardian_of(pid_t host) {
    std::vector<pid_t> found;
    for (const auto& process : processes_named("rankexec-guardian")) {
        if (process.parent == host) found.push_back(process.pid);
    }
    return found;
}

std::vector<pid_t> shims() {
    std::vector<pid_t> found;
    for (const auto& process : processes_named("/rankexec-rank")) found.push_back(process.pid);
    return found;
}

/// The launcher command is what the guardian started.
std::vector<pid_t> children_of(const std::vector<pid_t>& parents) {
    std::vector<pid_t> found;
    for (const auto& process : all_processes()) {
        if (std::ranges::find(parents, process.parent) != parents.end() &&
            !process.command.starts_with("rankexec-guardian"))
            found.push_back(process.pid);
    }
    return found;
}

bool no_rank_left() { return processes_named("/chaos_worker").empty(); }

Outcome after(Clock::time_point begin) {
    if (!eventually(kLimit, no_rank_left)) {
        std::vector<std::string> left;
        for (const auto& process : all_processes()) left.push_back(std::to_string(process.pid) + " " + process.command);
        return Outcome::failed("ranks are left: " + joined(left));
    }
    return {{}, {{"gone_ms", milliseconds_since(begin)}}};
}

Outcome with_parent(const RoundOptions& round) {
    const Surroundings before;
    Host host(round);
    if (!host.wait_for(Phase::execute)) return Outcome::failed("the host ended before it was killed");
    const auto guardians = guardian_of(host.pid());
    if (guardians.size() != 1) return Outcome::failed("expected one guardian");
    const auto begin = Clock::now();
    ::kill(guardians.front(), SIGKILL);
    host.kill();
    auto outcome = after(begin);
    if (outcome.wrong.empty()) {
        (void)eventually(kSupervisorLimit, [&] { return before.new_processes().empty(); });
        outcome.figures["all_gone_ms"] = milliseconds_since(begin);
        outcome.wrong = joined(before.new_processes());
    }
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
        const auto guardians = guardian_of(::getpid());
        const auto victims = round.variant == "shim"       ? shims()
                             : round.variant == "launcher" ? children_of(guardians)
                                                           : guardians;
        if (victims.empty()) return Outcome::failed("there is no " + round.variant + " to kill");
        const auto begin = Clock::now();
        ::kill(dice.pick(victims), SIGKILL);
        outcome = after(begin);
        if (!outcome.wrong.empty()) return outcome;
        const auto reply = answer.get();
        outcome.figures["call_failed_ms"] = milliseconds_since(begin);
        if (reply.reply.code == rankexec::ReturnCode::ok) return Outcome::failed("the task succeeded");
        executor.finalise();
    }
    if (before.wait_until_clean(kSupervisorLimit) < 0) outcome.wrong = "left: " + joined(before.new_since());
    return outcome;
}

}  // namespace chaos
