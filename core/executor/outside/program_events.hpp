// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/model/context.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/ipc/exchange/program_log.hpp"

namespace rankexec {

/// The property that holds what a program has logged, while its event is handled.
inline constexpr std::string_view kMetricProperty = "metric";

/// Fires what a program outside has logged as an event of rank 0, and applies what its handlers set or removed to the
/// context of the task (none: no task is open). Types that the library itself acts on are refused, with a warning: a
/// program does not end our run. Any thread; returns when the event was handled.
void fire_program_event(Engine& engine, exchange::ProgramLog&& log, const std::optional<Context>& context);

/// Tells the engine that an executor cannot serve the run: logs it, and fires system_panic with the property
/// panic_reason.
void report_panic(Engine* engine, const Failure& failure, Context& context);

}  // namespace rankexec
