// SPDX-License-Identifier: Apache-2.0
// One round of a gate: something is done to a group at random, and what must hold is looked at. A round
// runs in namespaces of its own, in which no other process is.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "rankexec/core/executor/multi_process_executor.hpp"

namespace chaos {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

/// Whether what this process has of memory says what we need: sanitizers keep what was freed, and shadows of it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsOurs = false;
#else
constexpr bool kMemoryIsOurs = true;
#endif

struct RoundOptions {
    std::string gate;
    std::uint64_t seed = 0;
    std::string launcher = "local";
    std::string variant;  ///< what exactly is done; its meaning is the gate's
    std::string command_template;
    int ranks = 4;
    bool zeromq = false;     ///< no shared memory
    bool contained = false;  ///< in a PID namespace
    double scale = 1;        ///< of what is counted within a round, from 0 to 1
};

/// What the round saw. Figures are in the unit that their name ends with.
struct Outcome {
    std::string wrong;  ///< empty: everything held
    std::map<std::string, double> figures;

    static Outcome failed(std::string what) { return {std::move(what), {}}; }
};

class Dice {
public:
    explicit Dice(std::uint64_t seed) : engine_(seed) {}
    /// From 0 to `below` - 1.
    int roll(int below) { return std::uniform_int_distribution<int>(0, below - 1)(engine_); }
    microseconds up_to(microseconds longest) {
        return microseconds(std::uniform_int_distribution<std::int64_t>(0, longest.count())(engine_));
    }
    template <typename T>
    const T& pick(const std::vector<T>& from) {
        return from[static_cast<std::size_t>(roll(static_cast<int>(from.size())))];
    }

private:
    std::mt19937_64 engine_;
};

/// A group of chaos workers.
[[nodiscard]] rankexec::MultiProcessOptions group_options(const RoundOptions& round);

[[nodiscard]] rankexec::Shareable with_headers(rankexec::Value::Map headers);

[[nodiscard]] double milliseconds_since(Clock::time_point begin);

// The gates, one function each.
Outcome orphans(const RoundOptions& round);          ///< the parent is killed at a random moment
Outcome guardian(const RoundOptions& round);         ///< what supervises is killed
Outcome death(const RoundOptions& round);            ///< a rank dies
Outcome stubborn(const RoundOptions& round);         ///< ranks will not go
Outcome interrupts(const RoundOptions& round);       ///< the command gets SIGINT, once or more often
Outcome slow_reader(const RoundOptions& round);      ///< nobody reads what ranks write, or only much later
Outcome concurrent(const RoundOptions& round);       ///< many groups start at the same time
Outcome exhaustion(const RoundOptions& round);       ///< a resource has run out
Outcome soak(const RoundOptions& round);             ///< many tasks, many groups, one process
Outcome strangers(const RoundOptions& round);        ///< somebody without the right credentials connects
Outcome bombs(const RoundOptions& round);            ///< somebody sends what should make the parent burst
Outcome late_and_stale(const RoundOptions& round);   ///< ranks send what is not wanted any more
Outcome collective(const RoundOptions& round);       ///< a rank fails while the others wait for it in a collective
Outcome hang(const RoundOptions& round);             ///< ranks make no progress
Outcome shared_memory(const RoundOptions& round);    ///< a rank abuses the memory that it shares with the parent
Outcome secrets(const RoundOptions& round);          ///< a run's secrets are looked for
int secrets_host(const RoundOptions& round);         ///< main of the host whose secrets these are
Outcome contained(const RoundOptions& round);        ///< what supervises a group in a PID namespace is killed
Outcome unkillable(const RoundOptions& round);       ///< a rank cannot be ended
Outcome callers_threads(const RoundOptions& round);  ///< the thread that started the group ends
Outcome host_untouched(const RoundOptions& round);   ///< hosts that do as they like
Outcome launched(const RoundOptions& round);         ///< the program of a LauncherExecutor dies
Outcome process_1(const RoundOptions& round);        ///< the command is the first process of a PID namespace
Outcome exchange(const RoundOptions& round);         ///< an agent and its exchanger are killed, and cut off

}  // namespace chaos
