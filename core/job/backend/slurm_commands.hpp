// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"

namespace rankexec::job {

/// What Slurm says about one of its jobs.
struct RANKEXEC_EXPORT SlurmJob {
    enum class Phase : std::uint8_t {
        alive,      ///< waits, runs, or is being cleaned up; also in a state that is not known here
        completed,  ///< with exit code 0
        failed,     ///< with another exit code, or by a signal
        cancelled,
        ended_by_slurm,  ///< time limit, lost node, preemption, out of memory
        never_started,   ///< its node did not boot
    };
    std::string id;
    std::string name;
    std::string state;  ///< Slurm's word
    Phase phase = Phase::alive;
    std::optional<ExitStatus> exit;  ///< by accounting
    friend bool operator==(const SlurmJob&, const SlurmJob&) = default;
};

[[nodiscard]] RANKEXEC_EXPORT SlurmJob::Phase slurm_phase(std::string_view state);
/// Lines "id|name|state"; others are left out.
[[nodiscard]] RANKEXEC_EXPORT std::vector<SlurmJob> jobs_from_squeue(std::string_view output);
/// Lines "id|name|state|code:signal" of sacct --parsable2.
[[nodiscard]] RANKEXEC_EXPORT std::vector<SlurmJob> jobs_from_sacct(std::string_view output);

/// Slurm's commands, for jobs of this user that are known by their names. A failure is that of the command: it
/// says nothing about any job. Each call blocks until the command has answered or its time is over. Any thread.
class RANKEXEC_EXPORT SlurmCommands {
public:
    /// `directory`: where the commands are; empty: in PATH.
    SlurmCommands(std::string directory, std::chrono::milliseconds timeout)
        : directory_(std::move(directory)), timeout_(timeout) {}

    struct Submission {
        std::string name;
        std::string comment;
        std::string directory;
        std::string log;
        std::vector<std::string> arguments;  ///< of sbatch, further ones
        std::string script;
    };
    /// The id of the new job. Whether there is one after a failure is not known.
    [[nodiscard]] tl::expected<std::string, Failure> submit(const Submission& submission) const;
    /// Those of these names that the controller knows, ended ones too as long as it remembers them.
    [[nodiscard]] tl::expected<std::vector<SlurmJob>, Failure> queued(const std::vector<std::string>& names) const;
    /// Those of that name in the accounting.
    [[nodiscard]] tl::expected<std::vector<SlurmJob>, Failure> accounted(const std::string& name) const;
    /// Ends all of that name.
    [[nodiscard]] tl::expected<void, Failure> cancel(const std::string& name) const;

private:
    [[nodiscard]] tl::expected<std::string, Failure> run(std::vector<std::string> argv, std::string input = {}) const;

    std::string directory_;
    std::chrono::milliseconds timeout_;
};

}  // namespace rankexec::job
