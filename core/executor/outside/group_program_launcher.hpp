// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rankexec/core/executor/group_options.hpp"
#include "rankexec/core/executor/outside/launcher.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// What all programs that we launch have in common. docs/outside-programs.md is the reference for the time-outs.
struct RANKEXEC_EXPORT LaunchedProgramOptions {
    using Milliseconds = std::chrono::milliseconds;

    /// True: the program is started with the first task and serves all that follow, until the end of the run or a
    /// failure. False: it is started for each task and stopped after it.
    bool launch_once = true;
    Milliseconds shutdown_timeout{2'000};   ///< for the program to end by itself, before it is terminated
    std::vector<std::string> clean_up;      ///< a command that is run after the program has gone; empty: none
    Milliseconds clean_up_timeout{30'000};  ///< for that command
    /// Called on a thread of the launcher with every piece of output; may block, which pauses that rank's output,
    /// nothing else. Not set: output goes to our standard error streams.
    std::function<void(int rank, wire::OutputStream stream, std::string_view bytes)> on_output;
};

/// Launches groups of ranks and ends them so that nothing survives, whoever dies: what SubprocessLauncher and
/// RankGroupLauncher have in common.
class RANKEXEC_EXPORT GroupProgramLauncher : public Launcher {
public:
    ~GroupProgramLauncher() override;  ///< finalises

    [[nodiscard]] tl::expected<void, Failure> initialise(Context& context) override;
    [[nodiscard]] tl::expected<Launched, Failure> launch_task(const Launch& launch, Context& context,
                                                              const Signal& abort) override;
    void stop_task(const std::string& task, StopReason reason) override;
    [[nodiscard]] RunStatus check_run_status(const std::string& task) override;
    void finalise() override;
    [[nodiscard]] bool needs_deferred_stop() const override;
    [[nodiscard]] bool on_change(std::function<void()> callback) override;
    [[nodiscard]] bool reaches_other_hosts() const override;
    [[nodiscard]] Milliseconds longest_stop() const override;
    [[nodiscard]] ProgramReport report() const override;

protected:
    /// Throws ConfigurationError. Starts nothing. `names_rank`: failures say which rank it was.
    GroupProgramLauncher(LaunchedProgramOptions options, GroupOptions group, bool names_rank);

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace rankexec
