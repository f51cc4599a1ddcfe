// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/group_options.hpp"

#include <limits>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/launch/rank_launcher.hpp"
#include "rankexec/core/system/rank_variables.hpp"
#include "rankexec/ipc/wire/limits.hpp"

namespace rankexec {
namespace {

void require(bool good, ConfigurationError::Kind kind, const std::string& message) {
    if (!good) throw ConfigurationError(kind, message);
}

}  // namespace

void check_group_options(const GroupOptions& options) {
    using Kind = ConfigurationError::Kind;
    require(options.world_size >= 1 && options.world_size <= wire::kMaxRanks, Kind::rank_count,
            "the number of ranks is " + std::to_string(options.world_size) + "; it must be an integer from 1 to " +
                std::to_string(wire::kMaxRanks));
    require(!options.program.empty() && !options.program.front().empty(), Kind::option,
            "no program is given for the ranks");
    require(options.gpus_per_rank >= 0, Kind::option, "gpus_per_rank is negative");
    require(options.master_port >= 0 && options.master_port <= 65535, Kind::option, "master_port is not in 0..65535");
    require(options.launcher != "torchrun" || (options.master_address.empty() && options.master_port == 0),
            Kind::option,
            "torchrun sets MASTER_ADDR and MASTER_PORT itself; leave the master address and port out, or choose "
            "another launcher");
    require(options.heartbeat_timeout.count() >= 0 &&
                options.heartbeat_timeout.count() <= std::numeric_limits<std::int32_t>::max(),
            Kind::option, "the time-out of heartbeats is not in 0..2147483647 ms");
    require(options.grace.count() >= 0, Kind::option, "the grace is negative");
    require(!options.orphan_grace || (options.orphan_grace->count() >= 0 &&
                                      options.orphan_grace->count() <= std::numeric_limits<std::uint32_t>::max()),
            Kind::option, "the orphan grace is not in 0..4294967295 ms");
    for (const auto& entry : options.environment) {
        require(entry.find('=') != std::string::npos && entry.front() != '=', Kind::option,
                "environment entry \"" + entry + "\" is not of the form NAME=value");
        const auto reserved = why_reserved(entry.substr(0, entry.find('=')), "master_address", "master_port");
        require(reserved.empty(), Kind::option, "environment entry " + reserved);
    }
    (void)make_launcher(options.launcher);
}

}  // namespace rankexec
