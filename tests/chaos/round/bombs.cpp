// SPDX-License-Identifier: Apache-2.0
// Somebody sends the parent what should make it allocate, recurse or wait. Variants:
//   from strangers, on ipc, and on tcp where the parent listens there, for as long as tasks are timed:
//     header      a frame that is said to have 8 GiB, and as much of it as is taken
//     parts       a message that never ends
//     depth       100,000 arrays, one in another
//     truncated   handshakes that stop somewhere
//     flipped     handshakes in which bits are flipped
//     silent      1,000 connections that say nothing
//   from a rank:
//     rank        answers of these kinds: the task fails, the next one does not
//     rank_header a frame that is said to have 8 GiB, after a good handshake
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "bomber.hpp"
#include "rankexec/ipc/wire/limits.hpp"
#include "surroundings.hpp"
#include "trusted.hpp"
#include "zmtp.hpp"

namespace chaos {
namespace {

using rankexec::ChannelKind;
using rankexec::ReturnCode;

constexpr double kStrangersMiB = 16;
constexpr std::uint64_t kMessageLimit = rankexec::wire::Limits{}.message_bytes;

double memory_mib(const std::string& name) {
    std::ifstream file("/proc/self/status");
    std::string line;
    while (std::getline(file, line)) {
        if (line.starts_with(name)) return std::stod(line.substr(name.size() + 1)) / 1024;
    }
    return -1;
}

/// From now on VmHWM tells the most since now (proc(5)).
double begin_of_growth() {
    std::ofstream("/proc/self/clear_refs") << "5";
    return memory_mib("VmRSS");
}

/// Milliseconds of each of at least `tasks` tasks in at least that time.
std::vector<double> time_tasks(TrustedGroup& group, std::size_t tasks, milliseconds at_least, std::string& wrong) {
    std::vector<double> times;
    const auto end = Clock::now() + at_least;
    while (wrong.empty() && (times.size() < tasks || Clock::now() < end)) {
        const auto begin = Clock::now();
        wrong = group.works();
        times.push_back(milliseconds_since(begin));
    }
    return times;
}

double percentile_99(std::vector<double> times) {
    if (times.empty()) return 0;
    std::ranges::sort(times);
    return times[(times.size() - 1) * 99 / 100];
}

Outcome from_strangers(const RoundOptions& round, Bomber& bomber) {
    constexpr std::size_t kTimed = 400;
    // Longer than a handshake may take.
    constexpr milliseconds kLasts{2500};
    TrustedGroup group(group_options(round));
    Outcome outcome;
    (void)time_tasks(group, 100, milliseconds(0), outcome.wrong);
    const auto before = percentile_99(time_tasks(group, kTimed, milliseconds(0), outcome.wrong));
    const auto resident = begin_of_growth();
    const bool tcp = round.launcher != "local";
    bomber.begin(endpoint_of(group.credentials().front(), ChannelKind::execution, tcp), tcp ? "CURVE" : "PLAIN");
    const auto during = percentile_99(time_tasks(group, kTimed, kLasts, outcome.wrong));
    const auto report = bomber.end();
    const auto growth = memory_mib("VmHWM") - resident;
    const auto counted = [&] { return group.executor().report().refused_handshakes; };
    outcome.figures["growth_MiB"] = growth;
    outcome.figures["p99_during_to_before_x"] = before > 0 ? during / before : 0;
    outcome.figures["attempts_connections"] = static_cast<double>(report.attempts);
    if (!outcome.wrong.empty()) return outcome;
    if (report.attempts == 0) outcome.wrong = "nobody could connect";
    if (report.accepted > 0) outcome.wrong = std::to_string(report.accepted) + " were not rejected";
    // libzmq tells nobody why it hangs up on a frame that is too long.
    if (counted() == 0 && round.variant != "header") outcome.wrong = "nothing was counted";
    if (kMemoryIsOurs && growth > kStrangersMiB) outcome.wrong = "memory grew by " + std::to_string(growth) + " MiB";
    if (outcome.wrong.empty()) outcome.wrong = group.works();
    return outcome;
}

std::string bad_answers(rankexec::MultiProcessExecutor& executor, Dice& dice, int ranks) {
    rankexec::Context context;
    if (const auto ready = executor.initialise(context); !ready) return ready.error().describe();
    for (const std::string way : {"depth", "count", "truncated", "flipped"}) {
        const int rank = dice.roll(ranks);
        const auto headers = with_headers({{"rank", rank}, {"seed", dice.roll(1 << 30)}});
        const auto reply = executor.execute(way, headers, context, {}, rankexec::ExecuteOptions{{}, true}).reply;
        // Flipped bits may well give another answer.
        const bool flipped_to_good = way == "flipped" && !reply.failure;
        if (!flipped_to_good && (!reply.failure || reply.failure->rank != rank)) {
            return way + ": " + (reply.failure ? reply.failure->describe() : "the task did not fail");
        }
        if (executor.execute("work", {}, context, {}).code != ReturnCode::ok) return way + ": no work any more";
    }
    return {};
}

Outcome from_rank(const RoundOptions& round) {
    Dice dice(round.seed);
    auto options = group_options(round);
    options.group.program = {CHAOS_ROGUE};
    rankexec::MultiProcessExecutor executor(options);
    Outcome outcome;
    const auto resident = begin_of_growth();
    outcome.wrong = bad_answers(executor, dice, round.ranks);
    const auto growth = memory_mib("VmHWM") - resident;
    outcome.figures["growth_MiB"] = growth;
    if (growth * 1024 * 1024 > 2.0 * static_cast<double>(kMessageLimit)) outcome.wrong += " memory grew";
    return outcome;
}

/// A second connection of a rank: its own is not harmed.
Outcome header_from_rank(const RoundOptions& round) {
    TrustedGroup group(group_options(round));
    const auto& rank = group.credentials().at(1);
    const rankexec::PeerCredentials credentials{rankexec::PeerRole::rank, 1, rank.secret};
    const auto resident = begin_of_growth();
    Outcome outcome;
    zmtp::Connection connection(endpoint_of(rank, ChannelKind::execution, false));
    connection.send(zmtp::greeting("PLAIN"));
    connection.send(zmtp::plain_hello(credentials.user_name(), credentials.password()));
    (void)connection.receive("WELCOME", milliseconds(5000));
    connection.send(zmtp::metadata_command("INITIATE"));
    const bool ready = connection.receive("READY", milliseconds(5000)).find("READY") != std::string::npos;
    if (!ready) outcome.wrong = "its own credentials were refused";
    connection.send(zmtp::header(0, std::uint64_t{8} << 30U));
    while (connection.send(std::string(1U << 16U, '\0'))) {
    }
    outcome.figures["growth_MiB"] = memory_mib("VmHWM") - resident;
    if (kMemoryIsOurs && outcome.wrong.empty() && outcome.figures["growth_MiB"] > kStrangersMiB)
        outcome.wrong = "memory grew";
    if (outcome.wrong.empty()) outcome.wrong = group.works();
    return outcome;
}

}  // namespace

Outcome bombs(const RoundOptions& round) {
    if (round.variant == "rank") return from_rank(round);
    if (round.variant == "rank_header") return header_from_rank(round);
    Bomber bomber(round.variant, round.seed);
    return from_strangers(round, bomber);
}

}  // namespace chaos
