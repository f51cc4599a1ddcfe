// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// The environment for a launcher that is started within another job: an MPI job, a Slurm step, a
/// torchrun worker, or a rank of ours. Without the surrounding job's rank variables, so that neither
/// the launcher nor a rank mistakes itself for one of that job.
///
/// What describes the surrounding Slurm allocation stays: srun and mpirun place ranks by it. The
/// variables of a run of ours (RANKEXEC_BOOTSTRAP...) are dropped too: add this run's afterwards.
[[nodiscard]] RANKEXEC_EXPORT std::vector<std::string> without_foreign_ranks(
    const std::vector<std::string>& environment);

}  // namespace rankexec
