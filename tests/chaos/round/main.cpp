// SPDX-License-Identifier: Apache-2.0
// chaos_round --gate NAME --seed N [--launcher NAME] [--command-template TEXT] [--variant NAME] [--ranks N] [--zeromq]
// Prints one line of JSON: {"wrong": "", "figures": {...}}. Exit code 0 also when something was wrong;
// others mean that the round itself could not be done.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>

#include "host.hpp"
#include "rankexec/core/system/log.hpp"
#include "round.hpp"
#include "surroundings.hpp"

namespace {

const std::map<std::string, std::function<chaos::Outcome(const chaos::RoundOptions&)>>& gates() {
    static const std::map<std::string, std::function<chaos::Outcome(const chaos::RoundOptions&)>> kGates{
        {"orphans", chaos::orphans},
        {"guardian", chaos::guardian},
        {"death", chaos::death},
        {"stubborn", chaos::stubborn},
        {"interrupts", chaos::interrupts},
        {"slow-reader", chaos::slow_reader},
        {"concurrent", chaos::concurrent},
        {"exhaustion", chaos::exhaustion},
        {"soak", chaos::soak},
        {"strangers", chaos::strangers},
        {"bombs", chaos::bombs},
        {"late-and-stale", chaos::late_and_stale},
        {"collective", chaos::collective},
        {"hang", chaos::hang},
        {"shared-memory", chaos::shared_memory},
        {"secrets", chaos::secrets},
        {"contained", chaos::contained},
        {"unkillable", chaos::unkillable},
        {"callers-threads", chaos::callers_threads},
        {"host-untouched", chaos::host_untouched},
        {"launched", chaos::launched},
        {"process-1", chaos::process_1},
        {"exchange", chaos::exchange},
    };
    return kGates;
}

/// Nothing but what the round starts is in this PID namespace.
bool is_kept_apart() {
    std::ifstream file("/proc/1/comm");
    std::string name;
    return std::getline(file, name) && name == "no_leftovers";
}

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (static_cast<unsigned char>(c) < 0x20) {
            out += ' ';
        } else {
            out += c;
        }
    }
    return out + "\"";
}

void print(const chaos::Outcome& outcome) {
    std::cout << "{\"wrong\": " << quoted(outcome.wrong) << ", \"figures\": {";
    const char* between = "";
    for (const auto& [name, value] : outcome.figures) {
        std::cout << between << quoted(name) << ": " << value;
        between = ", ";
    }
    std::cout << "}}" << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
    chaos::RoundOptions round;
    bool host = false;
    for (int index = 1; index < argc; ++index) {
        const std::string name = argv[index];
        if (name == "--host") {
            host = true;
            continue;
        }
        if (name == "--contained") {
            round.contained = true;
            continue;
        }
        if (name == "--zeromq") {
            round.zeromq = true;
            continue;
        }
        const char* value = index + 1 < argc ? argv[++index] : "";
        if (name == "--gate") round.gate = value;
        if (name == "--seed") round.seed = std::strtoull(value, nullptr, 10);
        if (name == "--launcher") round.launcher = value;
        if (name == "--command-template") round.command_template = value;
        if (name == "--variant") round.variant = value;
        if (name == "--scale") round.scale = std::atof(value);
        if (name == "--ranks") round.ranks = std::atoi(value);
    }
    try {
        if (!is_kept_apart()) {
            std::cerr << "chaos_round: kills processes; run it through scripts/chaos, which keeps it apart\n";
            return 2;
        }
        constexpr double kShortForm = 0.05;
        constexpr int kPatience = 10;
        if (round.scale < kShortForm) chaos::be_patient(kPatience);
        if (round.gate == "jobs") {
            ::execv(CHAOS_JOBS, argv);
            std::cerr << "chaos_round: " << CHAOS_JOBS << " cannot be started\n";
            return 2;
        }
        if (host) return round.gate == "secrets" ? chaos::secrets_host(round) : chaos::run_host(round);
        const auto gate = gates().find(round.gate);
        if (gate == gates().end()) {
            std::cerr << "chaos_round: there is no gate \"" << round.gate << "\"\n";
            return 2;
        }
        print(gate->second(round));
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "chaos_round: " << error.what() << "\n";
        return 2;
    }
}
