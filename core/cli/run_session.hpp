// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "rankexec/core/cli/launch_session.hpp"
#include "rankexec/core/cli/outcome_json.hpp"
#include "rankexec/core/model/signal.hpp"
#include "rankexec/core/system/event_loop.hpp"

namespace rankexec::cli {

/// Called once the group is started, on the loop's thread, before the loop runs. What it returns goes before both do.
using OnSessionStart = std::function<Signal::Subscription(EventLoop&, LaunchSession&)>;

/// One LaunchSession on this thread, from start to end, with this process's signals and standard streams. On the main
/// thread, before other threads exist, unless these have its signals blocked. Throws ConfigurationError.
[[nodiscard]] CommandResult run_session(const LaunchSessionOptions& options, const OnSessionStart& on_start = {});

/// Blocks the signals that run_session() reads, for threads that are started before it.
void block_session_signals();

}  // namespace rankexec::cli
