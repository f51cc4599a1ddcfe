// SPDX-License-Identifier: Apache-2.0
// Fuzz target of what launchers tell their processes. The first byte picks the launcher, the rest is an
// environment: entries that end in a zero byte.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "rankexec/core/launch/foreign_environment.hpp"
#include "rankexec/worker/rank_environment.hpp"

namespace {

constexpr int kWorldSize = 4;

/// Not assert(), which a release build leaves out.
void require(bool holds) {
    if (!holds) std::abort();
}

std::vector<std::string> entries_of(std::string_view text) {
    std::vector<std::string> entries;
    while (!text.empty()) {
        const auto end = std::min(text.find('\0'), text.size());
        entries.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return entries;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace rankexec;
    static constexpr std::array<std::string_view, 6> kLaunchers{"mpirun", "hydra", "torchrun", "srun", "command", "?"};
    if (size == 0) return 0;
    const auto launcher = kLaunchers.at(data[0] % kLaunchers.size());
    const auto environment = entries_of({reinterpret_cast<const char*>(data) + 1, size - 1});
    (void)without_foreign_ranks(environment);
    const auto launched = worker::read_launched_rank(launcher, environment, kWorldSize);
    if (!launched) {
        require(!launched.error().empty());
        return 0;
    }
    require(launched->place.rank >= 0 && launched->place.rank < kWorldSize);
    require(launched->place.world_size == kWorldSize);
    const auto result = worker::rank_environment(launcher, environment, launched->place, {"RANKEXEC_GPUS_PER_RANK=1"});
    require(result.has_value() || !result.error().empty());
    return 0;
}
