// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "rankexec/core/executor/outside/launcher_executor.hpp"
#include "rankexec/core/model/shareable.hpp"

namespace rankexec {

/// Whether the options name that task.
[[nodiscard]] bool is_known_task(const LauncherExecutorOptions& options, const std::string& task);
/// All that they name, for messages.
[[nodiscard]] std::string known_tasks(const LauncherExecutorOptions& options);
/// What a result that is ok lacks as one of that task; nothing: it is one.
[[nodiscard]] std::optional<std::string> result_error(const LauncherExecutorOptions& options, const std::string& task,
                                                      const Shareable& result);

}  // namespace rankexec
