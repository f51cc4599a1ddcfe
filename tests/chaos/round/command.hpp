// SPDX-License-Identifier: Apache-2.0
// The rankexec command, as a user runs it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace chaos {

class Command {
public:
    /// Starts `rankexec ARGUMENTS`, with pipes for its output. `reading` false: nobody reads its standard
    /// output.
    explicit Command(const std::vector<std::string>& arguments, bool reading = true);
    ~Command();
    Command(const Command&) = delete;
    Command& operator=(const Command&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }
    void signal(int number) const;
    /// From now on what it writes is read, in wait() and wait_for_lines().
    void start_reading() { reading_ = true; }
    /// Reads on until so many lines have come on the standard output; false when it ends first.
    bool wait_for_lines(std::size_t count);
    /// The exit code as a shell shows it; nothing when it has not ended within `limit`.
    std::optional<int> wait(std::chrono::milliseconds limit);

    /// All that has come so far; complete after wait().
    [[nodiscard]] const std::string& output() const { return output_; }
    [[nodiscard]] const std::string& errors() const { return errors_; }

private:
    /// Takes what there is; false when both ends are closed.
    bool read_some(std::chrono::milliseconds longest);

    pid_t pid_ = 0;
    int pidfd_ = -1;
    int output_fd_ = -1;
    int error_fd_ = -1;
    bool reading_;
    std::string output_;
    std::string errors_;
};

[[nodiscard]] std::size_t lines_of(const std::string& text);

}  // namespace chaos
