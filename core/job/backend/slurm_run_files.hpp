// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/backend/run_backend.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// What a run under Slurm and its site know of each other, in a folder of the part's directory, which nodes and site
/// share: who may run (claim), with which variables (environment), and how it ended (exit).
///
/// The claim makes the run happen at most once, whatever becomes of an answer of sbatch: the first to create it has
/// it. A batch script that finds another's claim ends at once; a site that gives a start up takes the claim itself.
class RANKEXEC_EXPORT SlurmRunFiles {
public:
    SlurmRunFiles(const std::filesystem::path& directory, const std::string& name);

    [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }

    /// Creates the folder and writes the variables, for the owner only. Fails with launch_error.
    [[nodiscard]] tl::expected<void, Failure> prepare(const RunSpec& spec) const;
    /// Runs the command once, tells how it ended, and passes a termination on to it.
    [[nodiscard]] std::string script(const RunSpec& spec) const;

    /// The id of the Slurm job that has the claim; kRevoked; none: nobody has.
    [[nodiscard]] std::optional<std::string> claim() const;
    static constexpr const char* kRevoked = "revoked";
    /// Whether nobody can run any more, because no job has the claim, or will have.
    [[nodiscard]] bool revoke() const;
    /// As the script has reported it; none: it has not.
    [[nodiscard]] std::optional<ExitStatus> exit() const;
    void remove_environment() const;

private:
    std::filesystem::path folder_;
    std::filesystem::path claim_;
    std::filesystem::path exit_;
    std::filesystem::path environment_;
};

/// As one word of a shell's command.
[[nodiscard]] RANKEXEC_EXPORT std::string shell_word(const std::string& text);

}  // namespace rankexec::job
