// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "rankexec/core/job/backend/run_backend.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

struct RANKEXEC_EXPORT SlurmBackendOptions {
    /// Further arguments of sbatch, after ours and so over them: partition, account, time limit, nodes.
    std::vector<std::string> sbatch_arguments;
    std::string program_directory;                      ///< of sbatch and the others; empty: in PATH
    std::chrono::milliseconds command_timeout{20'000};  ///< of each Slurm command
    std::chrono::milliseconds longest_pause{10'000};    ///< between two looks at the jobs
    /// A run that Slurm does not know any more, and of which neither it nor accounting says how it ended, counts as
    /// failed by the backend after this. Time in which Slurm does not answer does not count.
    std::chrono::milliseconds lost_after{300'000};
    /// How long what a node has written may take to be seen here.
    std::chrono::milliseconds file_system_lag{2'000};
};

/// Runs parts as Slurm jobs: one sbatch per token, under a name made from it, by which everything else goes: a run is
/// found again after a restart of this site, and scancel ends only what is ours.
///
/// A run happens at most once, also when sbatch's answer is lost: see SlurmRunFiles. RunSpec::directory and the log
/// are on a file system that nodes and site share. The variables of RunSpec::environment travel in a file there that
/// only its owner reads, and that the run removes first; they are on no command line and not in Slurm's records.
/// Cores, memory and number of GPUs are asked of Slurm, which sets CUDA_VISIBLE_DEVICES itself; the memory of a GPU
/// cannot be asked for.
///
/// How a run ended its script reports, with Slurm's word for it. A Slurm command that fails or hangs says nothing
/// about a run: it is asked again. There is one squeue for all runs, soon after something may have happened, and
/// then less and less often; nothing is asked while nothing runs.
///
/// Jobs in Slurm outlive this object and its process; adopt() finds them again.
class RANKEXEC_EXPORT SlurmBackend final : public RunBackend {
public:
    /// Throws ConfigurationError for times that make no sense. Asks Slurm nothing.
    explicit SlurmBackend(SlurmBackendOptions options = {});
    /// Leaves the jobs alone. on_end is not called any more. Waits for a Slurm command that is under way.
    ~SlurmBackend() override;

    /// Called on a thread of this object; it may call everything but the destructor.
    void on_end(OnEnd callback) override;
    /// Returns when Slurm has the job, or may have it. Fails with launch_error when Slurm does not answer or refuses;
    /// then this token cannot run any more. A token that was started before, also by an earlier process of this site,
    /// is success without a second run.
    tl::expected<void, Failure> start(const RunSpec& spec) override;
    /// Whether Slurm or the part's directory knows of such a run; also of one that has ended meanwhile: then on_end
    /// follows at once. A Slurm that does not answer counts as knowing.
    [[nodiscard]] bool adopt(const RunSpec& spec) override;
    void stop(const std::string& job) override;
    [[nodiscard]] bool runs(const std::string& job) const override;
    [[nodiscard]] std::string name() const override;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

/// What its Slurm jobs are called.
[[nodiscard]] RANKEXEC_EXPORT std::string slurm_job_name(const std::string& token);

}  // namespace rankexec::job
