// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/rank_environment.hpp"

#include <array>
#include <charconv>
#include <optional>

namespace rankexec::worker {
namespace {

using Environment = std::vector<std::string>;

/// Where one launcher says it; an empty name: it does not.
struct Names {
    std::string_view launcher;
    std::string_view rank;
    std::string_view world_size;
    std::string_view local_rank;
    std::string_view local_world_size;
};

// For "command" in this order: an outer launcher comes after those that it may have started. Slurm's
// tasks per node are read apart, they are a list.
constexpr std::array kNames{
    Names{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
          "OMPI_COMM_WORLD_LOCAL_SIZE"},
    Names{"hydra", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    Names{"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    Names{"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", ""},
    Names{"PMIx", "PMIX_RANK", "", "", ""},
};

constexpr int kUnknown = -1;

std::optional<int> to_number(std::string_view text) {
    int number = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size() || number < 0) return std::nullopt;
    return number;
}

/// The variable as a number; `kUnknown` when it has no name or is not set.
tl::expected<int, std::string> read(const Environment& environment, std::string_view name) {
    const auto text = name.empty() ? std::nullopt : environment_value(environment, name);
    if (!text) return kUnknown;
    const auto number = to_number(*text);
    if (!number) return tl::unexpected(std::string(name) + "=" + *text + " is not a number from 0");
    return *number;
}

/// Slurm's number of tasks on this node: the SLURM_NODEID-th item of a list like "2(x3),1".
int slurm_local_world_size(const Environment& environment) {
    const auto list = environment_value(environment, "SLURM_STEP_TASKS_PER_NODE");
    const auto node = to_number(environment_value(environment, "SLURM_NODEID").value_or(""));
    if (!list || !node) return kUnknown;
    std::string_view rest = *list;
    for (int before = *node; !rest.empty();) {
        const auto comma = rest.find(',');
        const auto item = rest.substr(0, comma);
        rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
        const auto bracket = item.find("(x");
        const auto tasks = to_number(item.substr(0, bracket));
        std::optional<int> nodes = 1;
        if (bracket != std::string_view::npos) {
            if (!item.ends_with(')')) return kUnknown;
            nodes = to_number(item.substr(bracket + 2, item.size() - bracket - 3));
        }
        if (!tasks || !nodes) return kUnknown;
        if (before < *nodes) return *tasks;
        before -= *nodes;
    }
    return kUnknown;
}

std::string slurm_step(const Environment& environment) {
    const auto job = environment_value(environment, "SLURM_JOB_ID");
    const auto step = environment_value(environment, "SLURM_STEP_ID");
    return job && step ? *job + "." + *step : "";
}

tl::expected<RankPlace, std::string> read_place(const Environment& environment, const Names& names) {
    RankPlace place;
    const std::array fields{std::pair(names.rank, &place.rank), std::pair(names.world_size, &place.world_size),
                            std::pair(names.local_rank, &place.local_rank),
                            std::pair(names.local_world_size, &place.local_world_size)};
    for (const auto& [name, field] : fields) {
        const auto number = read(environment, name);
        if (!number) return tl::unexpected(number.error());
        *field = *number;
    }
    if (names.launcher == "srun") place.local_world_size = slurm_local_world_size(environment);
    return place;
}

std::string known_rank_variables() {
    std::string list;
    for (const auto& names : kNames) list += (list.empty() ? "" : ", ") + std::string(names.rank);
    return list;
}

/// The launcher that the variables are to be read of; for "command", whichever fits best.
const Names* choose(std::string_view launcher, const Environment& environment, int expected_world_size) {
    const Names* first = nullptr;
    for (const auto& names : kNames) {
        if (launcher != "command" && launcher != names.launcher) continue;
        if (!environment_value(environment, names.rank)) continue;
        if (first == nullptr) first = &names;
        const auto size = read(environment, names.world_size);
        if (size && *size == expected_world_size) return &names;
    }
    return first;
}

std::string missing(std::string_view launcher) {
    if (launcher == "command") {
        return "the launcher command does not say which rank this process is: none of " + known_rank_variables() +
               " is set. Let it set RANK";
    }
    for (const auto& names : kNames) {
        if (names.launcher == launcher) {
            return std::string(names.rank) + " is not set, so " + std::string(launcher) +
                   " has not started this process; rankexec-rank is started by launchers only";
        }
    }
    return "launcher \"" + std::string(launcher) + "\" starts no rankexec-rank";
}

}  // namespace

tl::expected<LaunchedRank, std::string> read_launched_rank(std::string_view launcher,
                                                           const std::vector<std::string>& environment,
                                                           int expected_world_size) {
    const auto* names = choose(launcher, environment, expected_world_size);
    if (names == nullptr) return tl::unexpected(missing(launcher));
    auto place = read_place(environment, *names);
    if (!place) return tl::unexpected(place.error());
    if (place->world_size == kUnknown) place->world_size = expected_world_size;
    if (place->world_size != expected_world_size) {
        return tl::unexpected("the launcher started " + std::to_string(place->world_size) + " processes (" +
                              std::string(names->world_size) + "), but the group has " +
                              std::to_string(expected_world_size) + " ranks");
    }
    if (place->rank >= place->world_size) {
        return tl::unexpected(std::string(names->rank) + "=" + std::to_string(place->rank) + " is out of range for " +
                              std::to_string(place->world_size) + " ranks");
    }
    if (place->local_world_size >= 0 && place->local_rank >= place->local_world_size) {
        return tl::unexpected("local rank " + std::to_string(place->local_rank) + " is out of range for " +
                              std::to_string(place->local_world_size) + " ranks on this host");
    }
    return LaunchedRank{*place, names->launcher == "srun" ? slurm_step(environment) : ""};
}

tl::expected<std::vector<std::string>, std::string> rank_environment(std::string_view launcher,
                                                                     const std::vector<std::string>& environment,
                                                                     const RankPlace& place,
                                                                     const std::vector<std::string>& added) {
    auto result = without_rank_variables(environment, families_of_launcher(launcher));
    set_rank_variables(result, place);
    const bool torchrun_master = launcher == "torchrun" && environment_value(result, "MASTER_ADDR").has_value() &&
                                 environment_value(result, "MASTER_PORT").has_value();
    for (const auto& entry : added) {
        const auto equals = entry.find('=');
        if (equals == std::string::npos || equals == 0) continue;
        const auto name = std::string_view(entry).substr(0, equals);
        if (torchrun_master && (name == "MASTER_ADDR" || name == "MASTER_PORT")) continue;
        if (name == kGpusPerRankVariable || name == kForeignProgramVariable) continue;
        set_environment_value(result, name, std::string_view(entry).substr(equals + 1));
    }

    const int gpus = to_number(environment_value(added, kGpusPerRankVariable).value_or("0")).value_or(0);
    // With --gpus-per-task Slurm has already given each rank GPUs of its own.
    const bool divided = launcher == "srun" && environment_value(environment, "SLURM_GPUS_PER_TASK").has_value();
    if (gpus == 0 || divided) return result;
    const auto local_rank = to_number(environment_value(result, "LOCAL_RANK").value_or("")).value_or(kUnknown);
    const auto devices = visible_devices(environment_value(result, "CUDA_VISIBLE_DEVICES"), local_rank, gpus);
    if (!devices) return tl::unexpected(devices.error());
    set_environment_value(result, "CUDA_VISIBLE_DEVICES", *devices);
    return result;
}

}  // namespace rankexec::worker
