// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rankexec/core/process/host/guardian_client.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec::test {

/// A fresh run id: 32 hexadecimal digits.
std::string new_run_id();

/// Ranks 0..world_size-1 that each run `sh -c script` with RANK set, SIGTERM and then SIGKILL.
wire::Supervise shell_group(int world_size, const std::string& script);
/// The same as a launcher command.
wire::Supervise shell_launcher(const std::string& script);

/// Processes of this machine with that run id in their environment.
std::vector<pid_t> processes_of(const std::string& run_id);

/// cgroup folders that were made for that run.
std::vector<std::filesystem::path> control_groups_of(const std::string& run_id);

/// A guardian that has been told to supervise.
tl::expected<std::unique_ptr<GuardianClient>, Failure> start_supervised(EventLoop& loop,
                                                                        const wire::Supervise& supervise,
                                                                        GuardianClient::Callbacks callbacks = {});

/// A real guardian and what it has reported. Everything happens inside run_until.
class GuardedGroup {
public:
    using Condition = std::function<bool()>;

    /// Throws std::runtime_error when the guardian cannot be started.
    explicit GuardedGroup(const wire::Supervise& supervise);

    /// Serves the loop until the condition holds; false when that takes absurdly long.
    bool run_until(const Condition& condition, std::chrono::seconds longest = std::chrono::seconds(60));
    bool run_until_started(std::size_t count) {
        return run_until([this, count] { return started.size() == count; });
    }
    bool run_until_exited(std::size_t count) {
        return run_until([this, count] { return exited.size() == count; });
    }
    bool run_until_gone() {
        return run_until([this] { return gone; });
    }
    bool run_until_output(int rank, const std::string& text) {
        return run_until([this, rank, text] { return output[rank].find(text) != std::string::npos; });
    }

    EventLoop loop;
    std::string run_id;
    std::map<int, wire::RankStarted> started;
    std::map<int, wire::RankNotStarted> not_started;
    std::map<int, wire::RankExited> exited;
    std::map<int, std::string> output;  ///< both streams, as they came
    std::map<int, std::string> errors;  ///< standard error alone
    std::map<int, int> output_ends;
    std::map<int, std::string> log_errors;
    std::map<int, std::uint64_t> input_taken;
    std::vector<wire::LauncherExited> launcher_exited;
    std::vector<wire::SupervisionEnded> ended;
    std::vector<std::string> order;  ///< names of the messages, but for RankOutput
    bool gone = false;
    bool expected = false;
    bool grants = true;  ///< whether output is acknowledged at once
    std::unique_ptr<GuardianClient> guardian;

private:
    void on_message(wire::Message&& message);
};

}  // namespace rankexec::test
