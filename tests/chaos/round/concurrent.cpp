// SPDX-License-Identifier: Apache-2.0
#include <mutex>
#include <set>
#include <thread>

#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

constexpr int kGroups = 50;

struct Findings {
    std::mutex mutex;
    std::set<std::string> ports;
    std::vector<std::string> wrong;

    void add(const std::string& what) {
        const std::lock_guard lock(mutex);
        wrong.push_back(what);
    }
};

void use_a_group(const RoundOptions& round, Findings& findings) {
    auto options = group_options(round);
    options.group.world_size = 2;
    rankexec::MultiProcessExecutor executor(options);
    rankexec::Context context;
    if (const auto ready = executor.initialise(context); !ready) return findings.add(ready.error().describe());
    const auto reply = executor.execute("master_port", {}, context, {}, {.all_results = true});
    std::string port;
    for (const auto& result : reply.results) {
        const auto* header = result.header("port");
        const auto here = header != nullptr ? header->text_or("") : "";
        if (here.empty() || (!port.empty() && here != port))
            findings.add("ranks of one group meet at " + here + ", " + port);
        port = here;
    }
    if (reply.results.size() != 2) return findings.add("no results");
    {
        const std::lock_guard lock(findings.mutex);
        if (!findings.ports.insert(port).second) findings.wrong.push_back("two groups meet at port " + port);
    }
    executor.finalise();
}

}  // namespace

Outcome concurrent(const RoundOptions& round) {
    const Surroundings before;
    Findings findings;
    const auto begin = Clock::now();
    {
        std::vector<std::jthread> threads;
        for (int group = 0; group < kGroups; ++group) {
            threads.emplace_back([&] { use_a_group(round, findings); });
        }
    }
    Outcome outcome;
    outcome.figures["all_over_ms"] = milliseconds_since(begin);
    outcome.wrong = joined(findings.wrong);
    if (outcome.wrong.empty() && before.wait_until_clean(milliseconds(1000)) < 0) {
        outcome.wrong = "left: " + joined(before.new_since());
    }
    return outcome;
}

}  // namespace chaos
