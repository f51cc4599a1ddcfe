// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <filesystem>
#include <fstream>

#include "command.hpp"
#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

namespace fs = std::filesystem;

constexpr int kTerminated = 128 + SIGTERM;

/// MiB. Far below the output of a full run.
#ifdef __SANITIZE_ADDRESS__
constexpr double kMostMemory = 512;  // it keeps 256 of what was freed, and has tables of its own
#else
constexpr double kMostMemory = 128;
#endif

/// The most that the process has had in memory, in MiB.
double peak_memory(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
    }
    return 0;
}

/// A terminal that has stopped: the group must still end when it is told to.
Outcome stuck() {
    Command command({"launch", "-n", "2", "--", "/bin/sh", "-c", "echo up >&2; exec cat /dev/zero"}, false);
    const bool up = eventually(milliseconds(20'000), [&] {
        (void)command.wait(milliseconds(0));
        return command.errors().find("up") != std::string::npos;
    });
    if (!up) return Outcome::failed("the ranks are not up");
    Outcome outcome;
    outcome.figures["peak_mib"] = peak_memory(command.pid());
    const auto begin = Clock::now();
    command.signal(SIGTERM);
    const auto code = command.wait(milliseconds(10'000));
    outcome.figures["over_ms"] = milliseconds_since(begin);
    if (code != kTerminated) outcome.wrong = "exit code " + std::to_string(code.value_or(-1));
    return outcome;
}

/// Much output without a line break: in the file it is whole, and the command does not hold it.
Outcome no_line_break(const RoundOptions& round) {
    const auto bytes = static_cast<std::uintmax_t>(round.scale * 1'000'000'000.0);
    const fs::path logs = "/tmp/chaos_logs";
    Outcome outcome;
    {
        Command command({"launch", "-n", "1", "--log-dir", logs, "--label", "--", "/bin/sh", "-c",
                         "exec head -c " + std::to_string(bytes) + " /dev/zero"},
                        false);
        // The reader comes late.
        std::this_thread::sleep_for(milliseconds(200));
        outcome.figures["peak_mib"] = peak_memory(command.pid());
        command.start_reading();
        const auto code = command.wait(milliseconds(250'000));
        if (code != 0) outcome.wrong = "exit code " + std::to_string(code.value_or(-1)) + " " + command.errors();
    }
    std::error_code error;
    const auto written = fs::file_size(logs / "rank-0.out", error);
    if (error || written != bytes) {
        outcome.wrong = "the file has " + std::to_string(written) + " of " + std::to_string(bytes) + " bytes";
    }
    if (outcome.figures["peak_mib"] > kMostMemory) outcome.wrong = "the command took much memory";
    fs::remove_all(logs);
    return outcome;
}

/// A descendant that keeps the pipe does not keep the group.
Outcome held_open() {
    const auto begin = Clock::now();
    Command command({"launch", "-n", "2", "--", "/bin/sh", "-c", "echo said >&2; (exec setsid sleep 600) & exit 0"});
    const auto code = command.wait(milliseconds(10'000));
    Outcome outcome;
    outcome.figures["over_ms"] = milliseconds_since(begin);
    if (code != 0) outcome.wrong = "exit code " + std::to_string(code.value_or(-1)) + " " + command.errors();
    if (lines_of(command.errors()) != 2) outcome.wrong = "output was lost: " + command.errors();
    return outcome;
}

}  // namespace

Outcome slow_reader(const RoundOptions& round) {
    const Surroundings before;
    auto outcome = round.variant == "stuck"       ? stuck()
                   : round.variant == "held_open" ? held_open()
                                                  : no_line_break(round);
    if (outcome.wrong.empty() && before.wait_until_clean(milliseconds(1000)) < 0) {
        outcome.wrong = "left: " + joined(before.new_since());
    }
    return outcome;
}

}  // namespace chaos
