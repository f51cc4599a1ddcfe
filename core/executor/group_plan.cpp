// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/group_plan.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "rankexec/core/launch/foreign_environment.hpp"
#include "rankexec/core/model/wiping.hpp"
#include "rankexec/core/process/host/guardian_client.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/rank_variables.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec {
namespace {

constexpr const char* kRunIdVariable = "RANKEXEC_RUN_ID";
constexpr const char* kBootstrapFileVariable = "RANKEXEC_BOOTSTRAP_FILE";
constexpr const char* kLoopback = "127.0.0.1";

std::vector<std::string> inherited_environment() {
    std::vector<std::string> environment;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) environment.emplace_back(*entry);
    return without_foreign_ranks(environment);
}

void set_entry(std::vector<std::string>& environment, const std::string& entry) {
    const auto equals = entry.find('=');
    set_environment_value(environment, entry.substr(0, equals), entry.substr(equals + 1));
}

/// The shims' bootstrap as a file that only this user can read, in the run directory.
tl::expected<std::string, Failure> write_bootstrap(const Bootstrap& bootstrap) {
    const auto path = bootstrap.run_directory + "/bootstrap";
    auto text = bootstrap.to_text();
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    const bool written =
        file.valid() && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    wipe(text);
    if (!written) {
        Failure failure;
        failure.code = ReturnCode::launch_error;
        failure.message = path + ": " + std::generic_category().message(errno);
        return tl::unexpected(failure);
    }
    return path;
}

/// A direct rank's variables: the guardian sets its whole environment.
tl::expected<std::vector<std::string>, Failure> direct_environment(const GroupOptions& options,
                                                                   const std::vector<std::string>& environment,
                                                                   int rank) {
    std::vector<std::string> own;
    set_rank_variables(own, RankPlace{rank, options.world_size, rank, options.world_size});
    if (options.gpus_per_rank > 0) {
        const auto devices =
            visible_devices(environment_value(environment, "CUDA_VISIBLE_DEVICES"), rank, options.gpus_per_rank);
        if (!devices) {
            Failure failure;
            failure.code = ReturnCode::launch_error;
            failure.message = devices.error();
            failure.rank = rank;
            return tl::unexpected(failure);
        }
        own.push_back("CUDA_VISIBLE_DEVICES=" + *devices);
    }
    return own;
}

/// What the guardian holds open for direct ranks, checked before it runs out on the way.
tl::expected<void, Failure> check_descriptors(const GroupOptions& options) {
    constexpr std::uint64_t kOwn = 40;  // its own, and what starting one rank and looking at /proc take
    constexpr std::uint64_t kPipes = 3;
    const auto per_rank = kPipes + (options.log_directory.empty() ? 0U : 2U);
    const auto needed = kOwn + per_rank * static_cast<std::uint64_t>(options.world_size);
    rlimit limit{};
    // The guardian raises its soft limit to the hard one.
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max >= needed) return {};
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = std::to_string(options.world_size) + " ranks need " + std::to_string(needed) +
                      " open files in their supervisor, but only " + std::to_string(limit.rlim_max) +
                      " are allowed; raise the limit (ulimit -Hn) or start fewer";
    return tl::unexpected(failure);
}

}  // namespace

tl::expected<LaunchPlan, Failure> plan_group(const GroupOptions& options, const Bootstrap* bootstrap) {
    const auto launcher = make_launcher(options.launcher);
    LaunchRequest request;
    request.world_size = options.world_size;
    request.program = options.program;
    request.environment = inherited_environment();
    request.directory = options.directory;
    request.hosts = options.hosts;
    request.extra_args = options.launcher_args;
    request.command_template = options.command_template;
    if (options.launcher != "local") {
        auto shim = find_program("rankexec-rank");
        if (!shim) return tl::unexpected(shim.error());
        request.shim = *shim;
    }
    if (bootstrap == nullptr) return launcher->plan(request);

    request.scratch_directory = bootstrap->run_directory;
    set_environment_value(request.environment, kRunIdVariable, bootstrap->run_id);
    request.exported.emplace_back(kRunIdVariable);
    if (options.launcher != "local") {
        if (bootstrap->ports.empty()) {
            auto file = write_bootstrap(*bootstrap);
            if (!file) return tl::unexpected(file.error());
            set_environment_value(request.environment, kBootstrapFileVariable, *file);
            request.exported.emplace_back(kBootstrapFileVariable);
        } else {
            // Nobody knows whether the ranks' hosts share a file system with this one.
            auto text = bootstrap->to_text();
            set_environment_value(request.environment, kBootstrapVariable, text);
            wipe(text);
            request.exported.emplace_back(kBootstrapVariable);
        }
    }
    auto plan = launcher->plan(request);
    wipe_variable(request.environment, kBootstrapVariable);
    return plan;
}

std::vector<std::string> added_environment(const GroupOptions& options, const std::string& run_id,
                                           const std::string& master_address, int master_port) {
    std::vector<std::string> added;
    set_environment_value(added, "MASTER_ADDR",
                          options.master_address.empty() ? master_address : options.master_address);
    set_environment_value(added, "MASTER_PORT",
                          std::to_string(options.master_port != 0 ? options.master_port : master_port));
    for (const auto& entry : options.environment) set_entry(added, entry);
    set_environment_value(added, kRunIdVariable, run_id);
    if (!options.agent_address.empty()) set_environment_value(added, kAgentAddressVariable, options.agent_address);
    if (options.gpus_per_rank > 0) {
        set_environment_value(added, kGpusPerRankVariable, std::to_string(options.gpus_per_rank));
    }
    return added;
}

tl::expected<wire::Supervise, Failure> supervise_order(const GroupOptions& options, const LaunchPlan& plan,
                                                       const std::string& run_id, const Bootstrap* bootstrap,
                                                       bool channels, int master_port) {
    wire::Supervise order;
    order.run_id = run_id;
    order.program = plan.program;
    order.graceful = plan.graceful;
    order.forced = plan.forced;
    order.death_signal = plan.death_signal;
    order.orphan_grace_ms = options.orphan_grace ? static_cast<std::uint32_t>(options.orphan_grace->count())
                                                 : static_cast<std::uint32_t>(plan.orphan_grace_ms);
    if (bootstrap != nullptr) order.run_directory = bootstrap->run_directory;
    order.log_directory = options.log_directory;
    order.stdin_mode = options.stdin_mode;
    order.containment = options.containment;
    order.forward_output = options.forward_output;
    if (!plan.direct) return order;

    if (const auto enough = check_descriptors(options); !enough) return tl::unexpected(enough.error());
    auto added = added_environment(options, run_id, kLoopback, master_port);
    std::erase_if(added, [](const std::string& entry) { return entry.starts_with(kGpusPerRankVariable); });
    for (const auto& entry : added) set_entry(order.program.environment, entry);
    const bool none_found = options.gpus_per_rank > 0 && devices_here().devices == 0 &&
                            !environment_value(order.program.environment, "CUDA_VISIBLE_DEVICES");
    if (none_found) {
        log::warning("GPUs are asked for, but none was found on host " + devices_here().host +
                     "; CUDA_VISIBLE_DEVICES is set all the same");
    }
    for (int rank = 0; rank < options.world_size; ++rank) {
        wire::RankSpec spec;
        spec.rank = rank;
        auto own = direct_environment(options, order.program.environment, rank);
        if (!own) return tl::unexpected(own.error());
        spec.environment = std::move(*own);
        if (channels) {
            auto text = bootstrap->for_rank(rank).to_text();
            const auto bytes = std::as_bytes(std::span(text));
            spec.bootstrap.assign(bytes.begin(), bytes.end());
            wipe(text);
        }
        order.ranks.push_back(std::move(spec));
    }
    return order;
}

}  // namespace rankexec
