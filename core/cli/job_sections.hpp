// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rankexec/core/cli/job_file.hpp"
#include "rankexec/core/toml/toml_table.hpp"

/// The tables of a job file, each read into its part of the Job. All throw ConfigurationError (job_file).
namespace rankexec::cli {

/// Leaves the default alone when the key is absent.
template <typename Target, typename Source>
void assign(Target& target, std::optional<Source>&& value) {
    if (value) target = static_cast<Target>(*std::move(value));
}

/// What is added to a message about a name that is none.
[[nodiscard]] std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

/// [group]: how processes are started, for the executors that start some; with "multi_process" also what its ranks are,
/// for which the components must be known.
void read_group(const TomlTable& top, Job& job, const std::vector<std::string>& launchers);
/// [program], of executor "launcher".
void read_program(const TomlTable& top, Job& job);
/// [agent], of executor "ipc".
void read_agent(const TomlTable& top, Job& job);

}  // namespace rankexec::cli
