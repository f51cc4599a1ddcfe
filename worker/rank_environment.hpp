// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/system/rank_variables.hpp"

/// What a launcher's environment says about the process that it started, and the environment that the
/// rank's program gets. Pure functions: any thread.
namespace rankexec::worker {

/// A rank as its launcher describes it.
struct LaunchedRank {
    RankPlace place;
    std::string step;  ///< Slurm's JOB.STEP; empty elsewhere
    friend bool operator==(const LaunchedRank&, const LaunchedRank&) = default;
};

/// Reads the variables of that launcher ("mpirun", "hydra", "torchrun", "srun"); for "command" those of
/// any launcher that we know, or a bare RANK. Of several that are set, as in a launcher within a launcher,
/// the one counts whose world size is `expected_world_size`.
///
/// Fails, naming the variable, when the launcher does not say the rank, when a value is no number or out
/// of range, or when it started another number of processes than expected.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<LaunchedRank, std::string> read_launched_rank(
    std::string_view launcher, const std::vector<std::string>& environment, int expected_world_size);

/// The environment of a rank's program: `environment` (the launcher's), without foreign rank variables
/// but with the launcher's own, so that an MPI program finds its world; RANK, WORLD_SIZE, LOCAL_RANK and
/// LOCAL_WORLD_SIZE of `place`; then `added` (NAME=value, each replaces what was there), and
/// CUDA_VISIBLE_DEVICES when `added` has kGpusPerRankVariable above 0.
///
/// Under torchrun, MASTER_ADDR and MASTER_PORT stay torchrun's: its agent may serve the store there.
/// Fails when there are not enough GPUs for this local rank.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::vector<std::string>, std::string> rank_environment(
    std::string_view launcher, const std::vector<std::string>& environment, const RankPlace& place,
    const std::vector<std::string>& added);

}  // namespace rankexec::worker
