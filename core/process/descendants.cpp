// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/descendants.hpp"

#include <unistd.h>

#include <fstream>
#include <unordered_map>
#include <unordered_set>

namespace rankexec::process {
namespace {

using Parents = std::unordered_map<pid_t, pid_t>;

bool descends(pid_t pid, pid_t ancestor, const Parents& parents) {
    // Bounded: a scan is no snapshot, and pids reused within it could form a ring.
    for (std::size_t steps = 0; steps <= parents.size(); ++steps) {
        const auto found = parents.find(pid);
        if (found == parents.end() || found->second <= 0) return false;
        if (found->second == ancestor) return true;
        pid = found->second;
    }
    return false;
}

std::unordered_set<pid_t> members_of(const std::vector<std::string>& control_groups) {
    std::unordered_set<pid_t> members;
    for (const auto& folder : control_groups) {
        std::ifstream list(folder + "/cgroup.procs");
        for (pid_t pid = 0; list >> pid;) members.insert(pid);
    }
    return members;
}

}  // namespace

Found find_processes(const Belonging& belonging, const std::set<pid_t>& excepted) {
    const auto processes = read_processes();
    const auto members = members_of(belonging.control_groups);
    const pid_t self = ::getpid();
    Parents parents;
    std::uint64_t self_start = 0;
    for (const auto& process : processes) {
        parents.emplace(process.pid, process.parent);
        if (process.pid == self) self_start = process.start_time;
    }
    Found found;
    for (auto process : processes) {
        if (process.pid == self || process.dead || process.kernel_thread || excepted.contains(process.pid)) continue;
        process.descendant = descends(process.pid, belonging.ancestor, parents);
        bool ours = process.descendant || members.contains(process.pid);
        // Nothing of the group is older than its supervisor: most of the machine needs no look inside.
        if (!ours && process.start_time >= self_start) {
            const auto mark = carries_marks(process.pid, belonging.marks);
            ours = mark == MarkState::carried;
            found.uncertain = found.uncertain || mark == MarkState::unknown;
        }
        if (ours) found.processes.push_back(process);
    }
    return found;
}

}  // namespace rankexec::process
