// SPDX-License-Identifier: Apache-2.0
// What there is in this process's namespaces, and what has come since.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace chaos {

struct Process {
    pid_t pid = 0;
    pid_t parent = 0;
    char state = '?';
    std::string command;
};
[[nodiscard]] std::vector<Process> all_processes();

/// Processes, directories for temporary files, and sockets at one moment.
class Surroundings {
public:
    Surroundings();
    /// What there is now that was not there then, in words.
    [[nodiscard]] std::vector<std::string> new_since() const;
    /// The processes among it.
    [[nodiscard]] std::vector<std::string> new_processes() const;
    /// Waits until nothing is new, and says how long that took; negative when it takes longer than `limit`.
    [[nodiscard]] double wait_until_clean(std::chrono::milliseconds limit) const;

private:
    std::set<pid_t> processes_;
    std::set<std::string> files_;
    std::set<std::string> sockets_;
};

/// The short form runs beside other tests, on a machine that has no time to promise: there every limit is
/// `factor` times as long. To be called before a round begins.
void be_patient(int factor);
[[nodiscard]] std::chrono::milliseconds allowed(std::chrono::milliseconds limit);

/// Looks again and again until the condition holds; false when it does not within what is allowed for
/// `limit`.
bool eventually(std::chrono::milliseconds limit, const std::function<bool()>& condition);

/// The moment that a rank has left in that file (stamp.hpp); waits for it, and removes it.
[[nodiscard]] std::optional<std::chrono::steady_clock::time_point> moment_of(const char* stamp);

[[nodiscard]] std::string joined(const std::vector<std::string>& words);

}  // namespace chaos
