// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/dry_run.hpp"

#include <unistd.h>

#include <array>
#include <optional>
#include <utility>

#include "rankexec/core/cli/table.hpp"
#include "rankexec/core/executor/group_plan.hpp"
#include "rankexec/core/executor/rank_group.hpp"
#include "rankexec/core/system/rank_variables.hpp"

namespace rankexec::cli {
namespace {

constexpr const char* kChosenAtStart = "{chosen}";

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

std::string joined(const std::vector<std::string>& words, const char* between) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : between) + word;
    return text;
}

/// The rows of the table, which differ between ranks that are all here and ranks that a launcher places.
class Rows {
public:
    Rows(const GroupOptions& options, const LaunchPlan& plan)
        : options_(options),
          direct_(plan.direct),
          here_(!plan.may_be_remote),
          inherited_(environment_value(plan.program.environment, "CUDA_VISIBLE_DEVICES")) {}

    [[nodiscard]] tl::expected<std::vector<std::string>, Failure> row(int rank) const {
        std::vector<std::string> added;
        set_rank_variables(added, {rank, options_.world_size, here_ ? rank : -1, here_ ? options_.world_size : -1});
        if (!here_) {
            set_environment_value(added, "LOCAL_RANK", kChosenAtStart);
            set_environment_value(added, "LOCAL_WORLD_SIZE", kChosenAtStart);
        }
        const auto chosen_address = direct_ ? std::string("127.0.0.1") : std::string(kChosenAtStart);
        added.push_back("MASTER_ADDR=" + (options_.master_address.empty() ? chosen_address : options_.master_address));
        added.push_back("MASTER_PORT=" +
                        (options_.master_port == 0 ? kChosenAtStart : std::to_string(options_.master_port)));
        std::string gpus = "-";
        if (options_.gpus_per_rank > 0) {
            gpus = std::to_string(options_.gpus_per_rank) + " of its host's";
            if (here_) {
                const auto devices = visible_devices(inherited_, rank, options_.gpus_per_rank);
                if (!devices) return tl::unexpected(gpu_failure(rank, devices.error()));
                gpus = *devices;
            }
            added.push_back("CUDA_VISIBLE_DEVICES=" + (here_ ? gpus : std::string(kChosenAtStart)));
        }
        added.insert(added.end(), options_.environment.begin(), options_.environment.end());
        return std::vector<std::string>{std::to_string(rank), host(), gpus, shell_quoted(added)};
    }

private:
    [[nodiscard]] std::string host() const {
        if (here_) return host_name();
        if (options_.hosts.empty()) return "(" + options_.launcher + "'s choice)";
        return options_.hosts.size() == 1 ? options_.hosts.front() : "one of " + joined(options_.hosts, ",");
    }

    static Failure gpu_failure(int rank, const std::string& message) {
        Failure failure;
        failure.code = ReturnCode::launch_error;
        failure.message = message;
        failure.ranks = {rank};
        return failure;
    }

    const GroupOptions& options_;
    bool direct_;
    bool here_;
    std::optional<std::string> inherited_;
};

}  // namespace

std::string shell_quoted(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) {
        if (!text.empty()) text += ' ';
        constexpr const char* kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%{}";
        if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) {
            text += word;
            continue;
        }
        text += '\'';
        for (const char byte : word) text += byte == '\'' ? std::string("'\\''") : std::string(1, byte);
        text += '\'';
    }
    return text;
}

tl::expected<std::string, Failure> describe_launch(const GroupOptions& options) {
    check_group_options(options);
    const auto plan = plan_group(options, nullptr);
    if (!plan) return tl::unexpected(plan.error());

    std::string text = "launcher: " + options.launcher + (plan->direct ? ", which starts the ranks directly\n" : "\n");
    text += (plan->direct ? "program: " : "command: ") + shell_quoted(plan->program.argv) + "\n";
    if (!options.directory.empty()) text += "directory: " + options.directory + "\n";
    if (!options.log_directory.empty()) text += "logs: " + options.log_directory + "\n";
    if (options.containment == wire::Containment::pid_namespace) text += "containment: PID namespace\n";
    Table table({"rank", "host", "GPUs", "added environment"});
    const Rows rows(options, *plan);
    for (int rank = 0; rank < options.world_size; ++rank) {
        auto row = rows.row(rank);
        if (!row) return tl::unexpected(row.error());
        table.add_row(std::move(*row));
    }
    return text + table.text();
}

}  // namespace rankexec::cli
