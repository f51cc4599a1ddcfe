// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/ending_policy.hpp"

#include <csignal>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace rankexec {
namespace {

/// A signal for the launcher process (or the local ranks), and one that scancel sends to the Slurm step.
struct Step {
    int signal = 0;
    std::string_view scancel;
};

struct Policy {
    std::string_view launcher;
    Step graceful;
    Step forced;
    int death_signal;
    int orphan_grace_ms;
};

constexpr int kLocalOrphanGrace = 300;
constexpr int kRemoteOrphanGrace = 2000;

// Why the rows differ:
// - mpirun: SIGKILL leaves every rank alive, whether sent by us or as death signal; SIGTERM ends them.
// - hydra: SIGTERM can hang for a minute when ranks ignore it, so only the grace bounds it. SIGKILL is
//   clean, but kills the shims as well: as death signal it would leave what ranks have detached.
// - torchrun: SIGTERM ends its workers; from 2.2 on SIGKILL leaves them alive.
// - srun: SIGTERM kills the ranks at once, without grace, and SIGKILL leaves them alive. So grace goes
//   through scancel, and force through both: scancel needs a step, SIGTERM also ends an srun that still
//   waits for its allocation.
// - command: nothing is known of it; treated as the most fragile one, mpirun.
constexpr std::array kPolicies{
    Policy{"local", {SIGTERM, {}}, {SIGKILL, {}}, SIGKILL, kLocalOrphanGrace},
    Policy{"mpirun", {SIGTERM, {}}, {SIGKILL, {}}, SIGTERM, kRemoteOrphanGrace},
    Policy{"hydra", {SIGTERM, {}}, {SIGKILL, {}}, SIGTERM, kRemoteOrphanGrace},
    Policy{"torchrun", {SIGTERM, {}}, {SIGKILL, {}}, SIGTERM, kRemoteOrphanGrace},
    Policy{"srun", {0, "TERM"}, {SIGTERM, "KILL"}, SIGTERM, kRemoteOrphanGrace},
    Policy{"command", {SIGTERM, {}}, {SIGKILL, {}}, SIGTERM, kRemoteOrphanGrace},
};

wire::EndingStep to_wire(const Step& step) {
    wire::EndingStep result;
    result.signal = step.signal;
    if (!step.scancel.empty()) result.command = {"scancel", "-s", std::string(step.scancel), "{step}"};
    return result;
}

}  // namespace

void apply_ending_policy(std::string_view launcher, LaunchPlan& plan) {
    const auto* row = std::ranges::find(kPolicies, launcher, &Policy::launcher);
    if (row == kPolicies.end()) throw std::logic_error("no ending policy for launcher " + std::string(launcher));
    plan.graceful = to_wire(row->graceful);
    plan.forced = to_wire(row->forced);
    plan.death_signal = row->death_signal;
    plan.orphan_grace_ms = row->orphan_grace_ms;
}

}  // namespace rankexec
