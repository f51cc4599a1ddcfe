// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <tl/expected.hpp>

#include "rankexec/core/executor/outside/task_exchange_options.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/process/host/guardian_client.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/exchange/agent_address.hpp"
#include "rankexec/ipc/pipe/pipe.hpp"
#include "rankexec/ipc/transport/run_directory.hpp"

namespace rankexec {

/// A folder that a process of its own removes when this is destroyed, and when this process dies: a guardian that has
/// nothing else to do. Used by one thread at a time.
class RANKEXEC_EXPORT GuardedFolder {
public:
    /// Starts the guardian; the folder may be made from then on, with mode 0700. Fails with launch_error.
    [[nodiscard]] static tl::expected<std::unique_ptr<GuardedFolder>, Failure> start(std::string path);
    ~GuardedFolder();
    GuardedFolder(const GuardedFolder&) = delete;
    GuardedFolder& operator=(const GuardedFolder&) = delete;

    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    explicit GuardedFolder(std::string path) : path_(std::move(path)) {}

    std::string path_;
    EventLoop loop_;  ///< never runs: there is nothing to hear before the end
    std::unique_ptr<GuardianClient> guardian_;
};

/// The passive end of a pipe to a program that is to be launched, and how that finds the other end. All that it makes
/// is in one guarded folder. Used by one thread at a time.
class AgentPipe {
public:
    /// Opens nothing yet. `other_hosts`: the program may be on one. Fails with launch_error.
    [[nodiscard]] static tl::expected<std::unique_ptr<AgentPipe>, Failure> make(const ExchangePipeOptions& options,
                                                                                bool other_hosts);
    /// The pipe must have been closed. Removes the folder.
    ~AgentPipe() = default;
    AgentPipe(const AgentPipe&) = delete;
    AgentPipe& operator=(const AgentPipe&) = delete;

    [[nodiscard]] const std::shared_ptr<Pipe>& pipe() const noexcept { return pipe_; }
    /// Once, after the pipe was opened. Fails with launch_error when the credentials cannot be written.
    [[nodiscard]] tl::expected<exchange::AgentAddress, Failure> address();

private:
    AgentPipe(std::unique_ptr<GuardedFolder> folder, bool other_hosts)
        : folder_(std::move(folder)), other_hosts_(other_hosts) {}

    std::unique_ptr<GuardedFolder> folder_;
    std::optional<RunDirectory> made_;
    bool other_hosts_;
    std::shared_ptr<Pipe> pipe_;
};

}  // namespace rankexec
