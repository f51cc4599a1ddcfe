// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/foreign_proc.hpp"

#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "rankexec/core/system/listed_pid.hpp"

namespace rankexec::process {
namespace {

/// A process's numbers, from the namespace of /proc inwards.
struct Chains {
    std::vector<pid_t> pids;
    std::vector<pid_t> groups;
};

std::vector<pid_t> numbers_in(const std::string& line) {
    std::istringstream words(line.substr(line.find(':') + 1));
    std::vector<pid_t> numbers;
    for (pid_t number = 0; words >> number;) numbers.push_back(number);
    return numbers;
}

Chains chains_of(const std::string& process) {
    std::ifstream status("/proc/" + process + "/status");
    Chains chains;
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("NSpid:")) chains.pids = numbers_in(line);
        if (line.starts_with("NSpgid:")) chains.groups = numbers_in(line);
    }
    return chains;
}

}  // namespace

std::optional<OwnNumbers> own_numbers(pid_t listed) {
    static const auto depth = chains_of("self").pids.size();
    if (depth == 0 || listed <= 0) return std::nullopt;
    const auto chains = chains_of(std::to_string(listed));
    if (chains.pids.size() < depth) return std::nullopt;
    const auto pid = chains.pids[depth - 1];
    // Another namespace may be as deep as ours.
    if (listed_pid(pid) != listed) return std::nullopt;
    return OwnNumbers{pid, chains.groups.size() < depth ? 0 : chains.groups[depth - 1]};
}

}  // namespace rankexec::process
