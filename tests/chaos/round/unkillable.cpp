// SPDX-License-Identifier: Apache-2.0
// A rank is frozen, so that not even SIGKILL ends it: finalise returns in its time and says which one.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

namespace fs = std::filesystem;

/// A group of the cgroup v1 freezer below our own. (Version 2 lets frozen processes be killed.)
class Freezer {
public:
    Freezer() {
        std::ifstream groups("/proc/self/cgroup");
        for (std::string line; std::getline(groups, line);) {
            const auto name = line.find(":freezer:");
            if (name == std::string::npos) continue;
            const auto own = fs::path("/sys/fs/cgroup/freezer" + line.substr(name + 9));
            std::error_code error;
            const auto folder = own / ("chaos-" + std::to_string(::getpid()) + "-" + host_wide_number());
            if (fs::create_directory(folder, error)) folder_ = folder;
        }
    }
    ~Freezer() {
        if (!usable()) return;
        thaw();
        std::error_code error;
        (void)eventually(milliseconds(10'000), [&] { return fs::remove(folder_, error); });
    }
    Freezer(const Freezer&) = delete;
    Freezer& operator=(const Freezer&) = delete;

    [[nodiscard]] bool usable() const { return !folder_.empty(); }
    [[nodiscard]] bool freeze(std::int64_t pid) const {
        std::ofstream(folder_ / "cgroup.procs") << pid << std::flush;
        std::ofstream(folder_ / "freezer.state") << "FROZEN" << std::flush;
        return eventually(milliseconds(5000), [&] {
            std::string state;
            std::ifstream(folder_ / "freezer.state") >> state;
            return state == "FROZEN";
        });
    }
    void thaw() const { std::ofstream(folder_ / "freezer.state") << "THAWED" << std::flush; }

private:
    /// Our pid is one of a namespace, and another round's may be the same.
    static std::string host_wide_number() {
        struct stat facts {};
        ::stat("/proc/self/ns/pid", &facts);
        return std::to_string(facts.st_ino);
    }

    fs::path folder_;
};

}  // namespace

Outcome unkillable(const RoundOptions& round) {
    constexpr milliseconds kAbortGrace{100};
    constexpr milliseconds kGrace{300};
    // What supervises gives SIGKILL 2 s, and the output that nobody takes half a second.
    constexpr milliseconds kBound = kAbortGrace + kGrace + milliseconds(2000) + milliseconds(1000);
    Dice dice(round.seed);
    const Surroundings before;
    const Freezer freezer;
    if (!freezer.usable()) return {{}, {{"left_out_rounds", 1}}};
    auto options = group_options(round);
    options.abort_grace = kAbortGrace;
    options.group.grace = kGrace;
    rankexec::MultiProcessExecutor executor(options);
    rankexec::Context context;
    if (const auto ready = executor.initialise(context); !ready) return Outcome::failed(ready.error().describe());
    const bool busy = dice.roll(2) == 0;
    auto answer = busy ? executor.request_execute("block", {}, context) : std::future<rankexec::GroupReply>();
    const auto victim = dice.pick(executor.report().ranks).pid;
    if (!freezer.freeze(victim)) return Outcome::failed("the rank was not frozen");
    const auto begin = Clock::now();
    executor.finalise();
    Outcome outcome;
    outcome.figures["finalise_ms"] = milliseconds_since(begin);
    const auto survivors = executor.report().surviving_pids;
    if (survivors != std::vector<std::int64_t>{victim}) {
        outcome.wrong = "expected " + std::to_string(victim) + " to survive, got:";
        for (const auto pid : survivors) outcome.wrong += " " + std::to_string(pid);
    }
    if (outcome.figures["finalise_ms"] > static_cast<double>(kBound.count())) {
        outcome.wrong = "finalise took " + std::to_string(outcome.figures["finalise_ms"]) + " ms";
    }
    freezer.thaw();
    if (outcome.wrong.empty() && before.wait_until_clean(milliseconds(5000)) < 0) {
        outcome.wrong = "left once it was thawed: " + joined(before.new_since());
    }
    return outcome;
}

}  // namespace chaos
