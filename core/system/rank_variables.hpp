// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"

/// The environment variables by which launchers tell a process which rank it is. Environments are
/// lists of NAME=value, as execve takes them. Pure functions: any thread.
namespace rankexec {

/// Where a rank stands. `local_*` count within one host; -1: the launcher does not say.
struct RankPlace {
    int rank = 0;
    int world_size = 1;
    int local_rank = -1;
    int local_world_size = -1;
    friend bool operator==(const RankPlace&, const RankPlace&) = default;
};

/// Who sets a variable for one of its ranks. A launcher may use several: srun sets Slurm's, and PMI's
/// or PMIx's as well when it serves MPI programs.
enum class RankVariableFamily : std::uint8_t { open_mpi, pmix, pmi, torch, slurm_step, rankexec };
using RankVariableFamilies = std::vector<RankVariableFamily>;

/// The families of a launcher's own ranks, by launcher name ("mpirun", "srun", ...): what a program
/// under it needs to find its world. "command" may be any launcher: all families but rankexec's.
[[nodiscard]] RANKEXEC_EXPORT RankVariableFamilies families_of_launcher(std::string_view launcher);

/// The environment without the rank variables of every family that is not in `keep`.
///
/// What a user sets to configure a launcher stays (OMPI_MCA_btl, SLURM_PARTITION, MPIR_CVAR_*), and so
/// does what describes a Slurm allocation rather than a step in it (SLURM_JOB_ID, SLURM_NODELIST).
[[nodiscard]] RANKEXEC_EXPORT std::vector<std::string> without_rank_variables(
    const std::vector<std::string>& environment, const RankVariableFamilies& keep = {});

/// The value of the last entry of that name; nothing when there is none.
[[nodiscard]] RANKEXEC_EXPORT std::optional<std::string> environment_value(const std::vector<std::string>& environment,
                                                                           std::string_view name);
/// Removes every entry of that name and appends this one.
RANKEXEC_EXPORT void set_environment_value(std::vector<std::string>& environment, std::string_view name,
                                           std::string_view value);

/// Sets RANK and WORLD_SIZE, and LOCAL_RANK and LOCAL_WORLD_SIZE as far as they are known.
RANKEXEC_EXPORT void set_rank_variables(std::vector<std::string>& environment, const RankPlace& place);

/// Among the variables that a parent sends for a rank: how many GPUs the rank gets. Whoever starts the
/// rank's program turns it into CUDA_VISIBLE_DEVICES, because only there the host's devices are known.
inline constexpr std::string_view kGpusPerRankVariable = "RANKEXEC_GPUS_PER_RANK";

/// Likewise: with the value 1, the rank's program speaks no protocol of ours and gets no bootstrap.
inline constexpr std::string_view kForeignProgramVariable = "RANKEXEC_FOREIGN_PROGRAM";

/// For the program of an executor for programs outside: where its pipe is (ipc/exchange/agent_address.hpp).
inline constexpr std::string_view kAgentAddressVariable = "RANKEXEC_AGENT";

/// Why nobody else can give a rank's variable of this name a value, and what to do instead; empty: everybody can.
/// `address_option` and `port_option`: how the caller's users choose MASTER_ADDR and MASTER_PORT.
[[nodiscard]] RANKEXEC_EXPORT std::string why_reserved(std::string_view name, std::string_view address_option,
                                                       std::string_view port_option);

/// The GPUs of a host, as far as one can tell without their libraries.
struct HostDevices {
    std::string host;         ///< for messages
    std::size_t devices = 0;  ///< 0: not known
};
/// Of this host: what NVIDIA's driver has put into `folder`.
[[nodiscard]] RANKEXEC_EXPORT HostDevices devices_in(const std::string& folder);
/// Those in /dev when it was first called.
[[nodiscard]] RANKEXEC_EXPORT const HostDevices& devices_here();

/// CUDA_VISIBLE_DEVICES for one rank: `gpus_per_rank` devices of its host, counted from local rank 0.
/// `inherited` is the list that the host's processes were given, if any: then its entries, numbers or
/// UUIDs, are shared out instead of all devices. Fails when the list has too few entries, or the host too few
/// devices; the message says how many would be needed.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::string, std::string> visible_devices(
    const std::optional<std::string>& inherited, int local_rank, int gpus_per_rank,
    const HostDevices& here = devices_here());

}  // namespace rankexec
