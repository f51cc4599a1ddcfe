// SPDX-License-Identifier: Apache-2.0
// One process for a long time: what it has after the first part it has at the end.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "round.hpp"

namespace chaos {
namespace {

struct Taken {
    std::int64_t descriptors = 0;
    std::int64_t threads = 0;
    double resident_mib = 0;
};

Taken taken_now() {
    Taken taken;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        (void)entry;
        ++taken.descriptors;
    }
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("Threads:")) taken.threads = std::stoll(line.substr(8));
        if (line.starts_with("VmRSS:")) taken.resident_mib = std::stod(line.substr(6)) / 1024;
    }
    return taken;
}

/// A group that runs so many tasks, and what the process has while it is up.
tl::expected<Taken, std::string> run_group(rankexec::MultiProcessExecutor& executor, int tasks) {
    rankexec::Context context;
    if (const auto ready = executor.initialise(context); !ready) return tl::unexpected(ready.error().describe());
    rankexec::Shareable input;
    input.body = std::string(200, 'x');
    for (int task = 0; task < tasks; ++task) {
        const auto reply = executor.execute("nothing", input, context, {});
        if (reply.code != rankexec::ReturnCode::ok) return tl::unexpected("task " + std::to_string(task) + " failed");
    }
    const auto taken = taken_now();
    executor.finalise();
    return taken;
}

}  // namespace

Outcome soak(const RoundOptions& round) {
    const int tasks = std::max(100, static_cast<int>(200'000 * round.scale));
    const int groups = std::max(5, static_cast<int>(300 * round.scale));
    // What grows grows in the tasks of the longest group, or with the groups.
    const int tasks_in_one = tasks / 2;
    const int tasks_each = tasks / 2 / groups;
    auto options = group_options(round);
    rankexec::MultiProcessExecutor executor(options);
    Taken first;
    Taken last;
    const auto begin = Clock::now();
    for (int group = 0; group < groups; ++group) {
        const bool is_long = group == groups / 2;
        const auto taken = run_group(executor, is_long ? tasks_in_one : tasks_each);
        if (!taken) return Outcome::failed("group " + std::to_string(group) + ": " + taken.error());
        if (group == std::min(groups / 2 - 1, 20)) first = *taken;
        last = *taken;
    }
    Outcome outcome;
    outcome.figures = {{"run_s", milliseconds_since(begin) / 1000},
                       {"first_mib", first.resident_mib},
                       {"last_mib", last.resident_mib},
                       {"descriptors_count", static_cast<double>(last.descriptors)},
                       {"threads_count", static_cast<double>(last.threads)}};
    if (last.descriptors != first.descriptors) outcome.wrong = "descriptors grew";
    if (last.threads != first.threads) outcome.wrong = "threads grew";
    // An allocator settles; a leak of 50 bytes a task would be 10 MiB.
    if (kMemoryIsOurs && last.resident_mib > first.resident_mib + 4) outcome.wrong = "memory grew";
    return outcome;
}

}  // namespace chaos
