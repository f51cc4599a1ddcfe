// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/rank_launcher.hpp"

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/nearest_name.hpp"
#include "rankexec/core/launch/command_launcher.hpp"
#include "rankexec/core/launch/hydra_launcher.hpp"
#include "rankexec/core/launch/local_launcher.hpp"
#include "rankexec/core/launch/open_mpi_launcher.hpp"
#include "rankexec/core/launch/srun_launcher.hpp"
#include "rankexec/core/launch/torchrun_launcher.hpp"

namespace rankexec {
namespace {

struct Entry {
    std::string_view name;
    std::unique_ptr<RankLauncher> (*make)();
};

template <typename Launcher>
std::unique_ptr<RankLauncher> make() {
    return std::make_unique<Launcher>();
}

constexpr Entry kLaunchers[] = {
    {"local", make<LocalLauncher>},       {"mpirun", make<OpenMpiLauncher>}, {"hydra", make<HydraLauncher>},
    {"torchrun", make<TorchrunLauncher>}, {"srun", make<SrunLauncher>},      {"command", make<CommandLauncher>},
};

}  // namespace

RankLauncher::~RankLauncher() = default;

std::unique_ptr<RankLauncher> make_launcher(std::string_view name) {
    for (const auto& entry : kLaunchers) {
        if (entry.name == name) return entry.make();
    }
    std::string known;
    for (const auto& each : launcher_names()) known += (known.empty() ? "" : ", ") + each;
    const auto nearest = nearest_name(name, launcher_names());
    throw ConfigurationError(ConfigurationError::Kind::launcher_unknown,
                             "launcher \"" + std::string(name) + "\" does not exist; " +
                                 (nearest.empty() ? "" : "did you mean \"" + nearest + "\"? ") + "Known are " + known);
}

std::vector<std::string> launcher_names() {
    std::vector<std::string> names;
    for (const auto& entry : kLaunchers) names.emplace_back(entry.name);
    return names;
}

}  // namespace rankexec
