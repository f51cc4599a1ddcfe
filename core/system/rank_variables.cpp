// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/system/rank_variables.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

namespace rankexec {
namespace {

using Family = RankVariableFamily;

/// One variable or, with `prefix`, all whose names begin so.
struct Entry {
    std::string_view name;
    Family family;
    bool prefix = false;
};

constexpr bool kPrefix = true;

// Recorded from Open MPI 4.1.4, MPICH 4.0.2, torchrun 1.13 and Slurm 22.05.
constexpr std::array kVariables{
    // Open MPI. Not OMPI_ as a prefix: OMPI_CC, OMPI_ALLOW_RUN_AS_ROOT and the like are the user's.
    Entry{"OMPI_APP_CTX_NUM_PROCS", Family::open_mpi},
    Entry{"OMPI_ARGV", Family::open_mpi},
    Entry{"OMPI_COMMAND", Family::open_mpi},
    Entry{"OMPI_COMM_WORLD_", Family::open_mpi, kPrefix},
    Entry{"OMPI_FILE_LOCATION", Family::open_mpi},
    Entry{"OMPI_FIRST_RANKS", Family::open_mpi},
    Entry{"OMPI_NUM_APP_CTX", Family::open_mpi},
    Entry{"OMPI_UNIVERSE_SIZE", Family::open_mpi},
    Entry{"OMPI_MCA_ess", Family::open_mpi},
    Entry{"OMPI_MCA_ess_base_", Family::open_mpi, kPrefix},
    Entry{"OMPI_MCA_initial_wdir", Family::open_mpi},
    Entry{"OMPI_MCA_orte_app_num", Family::open_mpi},
    Entry{"OMPI_MCA_orte_ess_", Family::open_mpi, kPrefix},
    Entry{"OMPI_MCA_orte_hnp_uri", Family::open_mpi},
    Entry{"OMPI_MCA_orte_jobfam_session_dir", Family::open_mpi},
    Entry{"OMPI_MCA_orte_launch", Family::open_mpi},
    Entry{"OMPI_MCA_orte_local_daemon_uri", Family::open_mpi},
    Entry{"OMPI_MCA_orte_num_nodes", Family::open_mpi},
    Entry{"OMPI_MCA_orte_precondition_transports", Family::open_mpi},
    Entry{"OMPI_MCA_orte_top_session_dir", Family::open_mpi},
    Entry{"OMPI_MCA_pmix", Family::open_mpi},
    Entry{"OMPI_MCA_shmem_RUNTIME_QUERY_hint", Family::open_mpi},
    // PMIx, whoever serves it. PMIX_MCA_ is the user's.
    Entry{"PMIX_BFROP_BUFFER_TYPE", Family::pmix},
    Entry{"PMIX_DSTORE_", Family::pmix, kPrefix},
    Entry{"PMIX_GDS_MODULE", Family::pmix},
    Entry{"PMIX_HOSTNAME", Family::pmix},
    Entry{"PMIX_ID", Family::pmix},
    Entry{"PMIX_NAMESPACE", Family::pmix},
    Entry{"PMIX_RANK", Family::pmix},
    Entry{"PMIX_SECURITY_MODE", Family::pmix},
    Entry{"PMIX_SERVER_", Family::pmix, kPrefix},
    Entry{"PMIX_SYSTEM_TMPDIR", Family::pmix},
    Entry{"PMIX_VERSION", Family::pmix},
    Entry{"SLURM_PMIX", Family::pmix, kPrefix},
    // PMI-1 and PMI-2: MPICH's Hydra and everything derived from it, Slurm with --mpi=pmi2.
    Entry{"PMI_", Family::pmi, kPrefix},
    Entry{"PMI2_", Family::pmi, kPrefix},
    Entry{"HYDI_", Family::pmi, kPrefix},
    Entry{"MPI_LOCALNRANKS", Family::pmi},
    Entry{"MPI_LOCALRANKID", Family::pmi},
    Entry{"MPIR_CVAR_CH3_INTERFACE_HOSTNAME", Family::pmi},
    // torchrun, and every program that follows its convention.
    Entry{"RANK", Family::torch},
    Entry{"LOCAL_RANK", Family::torch},
    Entry{"WORLD_SIZE", Family::torch},
    Entry{"LOCAL_WORLD_SIZE", Family::torch},
    Entry{"GROUP_RANK", Family::torch},
    Entry{"GROUP_WORLD_SIZE", Family::torch},
    Entry{"ROLE_RANK", Family::torch},
    Entry{"ROLE_WORLD_SIZE", Family::torch},
    Entry{"MASTER_ADDR", Family::torch},
    Entry{"MASTER_PORT", Family::torch},
    Entry{"TORCHELASTIC_", Family::torch, kPrefix},
    // A step within a Slurm allocation, not the allocation itself.
    Entry{"SLURM_PROCID", Family::slurm_step},
    Entry{"SLURM_LOCALID", Family::slurm_step},
    Entry{"SLURM_NODEID", Family::slurm_step},
    Entry{"SLURM_GTIDS", Family::slurm_step},
    Entry{"SLURM_STEP_", Family::slurm_step, kPrefix},
    Entry{"SLURM_STEPID", Family::slurm_step},
    Entry{"SLURM_TASK_PID", Family::slurm_step},
    Entry{"SLURM_NTASKS", Family::slurm_step},
    Entry{"SLURM_NPROCS", Family::slurm_step},
    Entry{"SLURM_OVERCOMMIT", Family::slurm_step},
    Entry{"SLURM_DISTRIBUTION", Family::slurm_step},
    Entry{"SLURM_CPU_BIND", Family::slurm_step, kPrefix},
    Entry{"SLURM_MEM_BIND", Family::slurm_step, kPrefix},
    Entry{"SLURM_PRIO_PROCESS", Family::slurm_step},
    Entry{"SLURM_UMASK", Family::slurm_step},
    Entry{"SLURM_SRUN_COMM_", Family::slurm_step, kPrefix},
    Entry{"SLURM_LAUNCH_NODE_IPADDR", Family::slurm_step},
    Entry{"SRUN_DEBUG", Family::slurm_step},
    // Ours. RANKEXEC_LOG and RANKEXEC_PROGRAM_DIR are the user's.
    Entry{"RANKEXEC_BOOTSTRAP", Family::rankexec, kPrefix},
    Entry{"RANKEXEC_RUN_", Family::rankexec, kPrefix},
    Entry{"RANKEXEC_PARENT_PIDFD", Family::rankexec},
    Entry{kAgentAddressVariable, Family::rankexec},
    Entry{kGpusPerRankVariable, Family::rankexec},
    Entry{kForeignProgramVariable, Family::rankexec},
};

/// Set by a user to configure mpirun, but also by mpirun for its ranks: foreign only within a job.
constexpr std::array<std::string_view, 5> kOpenMpiPolicies{
    "OMPI_MCA_hwloc_base_binding_policy", "OMPI_MCA_mpi_oversubscribe", "OMPI_MCA_rmaps_base_oversubscribe",
    "OMPI_MCA_orte_tmpdir_base", "OMPI_MCA_orte_local_tmpdir_base"};

std::string_view name_of(std::string_view entry) { return entry.substr(0, entry.find('=')); }

std::optional<Family> family_of(std::string_view name, bool within_open_mpi) {
    for (const auto& variable : kVariables) {
        if (variable.prefix ? name.starts_with(variable.name) : name == variable.name) return variable.family;
    }
    if (within_open_mpi && std::ranges::find(kOpenMpiPolicies, name) != kOpenMpiPolicies.end()) {
        return Family::open_mpi;
    }
    return std::nullopt;
}

std::vector<std::string_view> split_list(std::string_view list) {
    std::vector<std::string_view> entries;
    while (!list.empty()) {
        const auto comma = list.find(',');
        auto entry = list.substr(0, comma);
        while (entry.starts_with(' ')) entry.remove_prefix(1);
        while (entry.ends_with(' ')) entry.remove_suffix(1);
        // CUDA stops reading at the first entry that names no device.
        if (entry.empty() || entry.starts_with('-')) break;
        entries.push_back(entry);
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    }
    return entries;
}

}  // namespace

RankVariableFamilies families_of_launcher(std::string_view launcher) {
    if (launcher == "mpirun") return {Family::open_mpi, Family::pmix};
    if (launcher == "hydra") return {Family::pmi};
    if (launcher == "torchrun") return {Family::torch};
    if (launcher == "srun") return {Family::slurm_step, Family::pmi, Family::pmix};
    if (launcher == "command") {
        return {Family::open_mpi, Family::pmix, Family::pmi, Family::torch, Family::slurm_step};
    }
    return {};
}

std::vector<std::string> without_rank_variables(const std::vector<std::string>& environment,
                                                const RankVariableFamilies& keep) {
    const bool within_open_mpi = environment_value(environment, "OMPI_MCA_orte_hnp_uri").has_value() ||
                                 environment_value(environment, "OMPI_COMM_WORLD_RANK").has_value();
    std::vector<std::string> clean;
    clean.reserve(environment.size());
    for (const auto& entry : environment) {
        const auto family = family_of(name_of(entry), within_open_mpi);
        if (!family || std::ranges::find(keep, *family) != keep.end()) clean.push_back(entry);
    }
    return clean;
}

std::optional<std::string> environment_value(const std::vector<std::string>& environment, std::string_view name) {
    for (auto entry = environment.rbegin(); entry != environment.rend(); ++entry) {
        if (entry->size() > name.size() && (*entry)[name.size()] == '=' && entry->starts_with(name)) {
            return entry->substr(name.size() + 1);
        }
    }
    return std::nullopt;
}

void set_environment_value(std::vector<std::string>& environment, std::string_view name, std::string_view value) {
    std::erase_if(environment, [&](const std::string& entry) { return name_of(entry) == name; });
    // Without temporaries: the value may be a secret.
    std::string entry;
    entry.reserve(name.size() + 1 + value.size());
    entry.append(name).append("=").append(value);
    environment.push_back(std::move(entry));
}

void set_rank_variables(std::vector<std::string>& environment, const RankPlace& place) {
    set_environment_value(environment, "RANK", std::to_string(place.rank));
    set_environment_value(environment, "WORLD_SIZE", std::to_string(place.world_size));
    if (place.local_rank >= 0) set_environment_value(environment, "LOCAL_RANK", std::to_string(place.local_rank));
    if (place.local_world_size >= 1) {
        set_environment_value(environment, "LOCAL_WORLD_SIZE", std::to_string(place.local_world_size));
    }
}

std::string why_reserved(std::string_view name, std::string_view address_option, std::string_view port_option) {
    constexpr std::array<std::string_view, 4> kPlace{"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"};
    const auto instead = name == "MASTER_ADDR" ? address_option : name == "MASTER_PORT" ? port_option : "";
    if (!instead.empty()) return std::string(name) + " is set by rankexec; choose it with " + std::string(instead);
    const bool own = std::ranges::find(kPlace, name) != kPlace.end() || family_of(name, false) == Family::rankexec;
    if (!own) return {};
    return std::string(name) + " is set by rankexec for each rank; leave it out, or give the variable another name";
}

HostDevices devices_in(const std::string& folder) {
    std::array<char, 256> name{};
    HostDevices here;
    if (::gethostname(name.data(), name.size() - 1) == 0) here.host = name.data();
    // nvidia0, nvidia1, ...; not nvidiactl and the like.
    constexpr std::string_view kPrefix = "nvidia";
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        const std::string found = entry.path().filename();
        const bool device = found.starts_with(kPrefix) && found.size() > kPrefix.size() &&
                            found.find_first_not_of("0123456789", kPrefix.size()) == std::string::npos;
        if (device) ++here.devices;
    }
    return here;
}

const HostDevices& devices_here() {
    static const auto here = devices_in("/dev");
    return here;
}

tl::expected<std::string, std::string> visible_devices(const std::optional<std::string>& inherited, int local_rank,
                                                       int gpus_per_rank, const HostDevices& here) {
    if (local_rank < 0 || gpus_per_rank < 1) return tl::unexpected(std::string("the local rank is not known"));
    const auto first = static_cast<std::size_t>(local_rank) * static_cast<std::size_t>(gpus_per_rank);
    const auto end = first + static_cast<std::size_t>(gpus_per_rank);
    const auto list_given = inherited.value_or("");
    const auto given = split_list(list_given);
    const auto found = inherited ? given.size() : here.devices;
    if (found < end && (inherited || found > 0)) {
        return tl::unexpected("local rank " + std::to_string(local_rank) + " on host " + here.host + " needs " +
                              std::to_string(gpus_per_rank) + " GPU(s), that is " + std::to_string(end) +
                              " on this host, but " +
                              (inherited ? "CUDA_VISIBLE_DEVICES=" + *inherited + " names " + std::to_string(found)
                                         : "only " + std::to_string(found) + " were found there") +
                              "; ask for fewer GPUs per rank, or start fewer ranks on each host");
    }
    std::string list;
    for (auto index = first; index < end; ++index) {
        if (!list.empty()) list += ',';
        list += inherited ? std::string(given[index]) : std::to_string(index);
    }
    return list;
}

}  // namespace rankexec
