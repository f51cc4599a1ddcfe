// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// How a group of ranks is launched and ended. check_group_options() checks it.
struct GroupOptions {
    int world_size = 1;                ///< 1..wire::kMaxRanks
    std::vector<std::string> program;  ///< argv of the rank's program; argv[0] is searched in PATH
    std::string launcher = "local";    ///< a name that make_launcher knows
    std::vector<std::string> launcher_args;
    std::string command_template;  ///< for launcher "command"
    std::vector<std::string> hosts;
    /// NAME=value, added to the inherited environment of every rank; none that is set for it anyway (RANK, ...).
    std::vector<std::string> environment;
    /// RANKEXEC_AGENT of the ranks' programs: where an executor's pipe is (ipc/exchange/agent_address.hpp). May be a
    /// secret, and reaches the ranks as other secrets do; empty: none.
    std::string agent_address;
    std::string directory;          ///< working directory of the ranks; empty: ours
    int gpus_per_rank = 0;          ///< 0: CUDA_VISIBLE_DEVICES is left alone
    std::string master_address;     ///< MASTER_ADDR; empty: chosen; not with torchrun, which has its own
    int master_port = 0;            ///< MASTER_PORT; 0: chosen
    std::string advertise_address;  ///< what remote ranks connect to; empty: routed per host
    /// Silence of a rank's or a shim's host after which its connection counts as lost; 0: never. Who is stopped
    /// that long, in a debugger say, is lost too.
    std::chrono::milliseconds heartbeat_timeout{4000};
    std::string log_directory;  ///< rank-N.out and rank-N.err; empty: none
    wire::StdinMode stdin_mode = wire::StdinMode::none;
    /// pid_namespace: a group that cannot be contained fails with launch_error.
    wire::Containment containment = wire::Containment::automatic;
    bool forward_output = true;             ///< hand the ranks' output to the parent
    std::chrono::milliseconds grace{5000};  ///< between the graceful and the forced step of ending
    std::optional<std::chrono::milliseconds>
        orphan_grace;  ///< the same once the parent is gone; none: launcher's default
};

/// Throws ConfigurationError when no group could be started with these options: rank_count, option,
/// launcher_unknown.
RANKEXEC_EXPORT void check_group_options(const GroupOptions& options);

}  // namespace rankexec
