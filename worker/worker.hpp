// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rankexec/core/component/component_registry.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::worker {

/// A rank's whole life: connects to the parent that launched this process, builds the components it
/// asks for from `registry`, executes tasks and handles events until the parent closes the group or
/// is gone. A user's worker program is this call and the registrations before it:
///
///     int main() {
///         rankexec::ComponentRegistry registry;
///         registry.add<MyTrainer>("my_trainer");
///         return rankexec::worker::run(registry);
///     }
///
/// Signals: where the program has no handler of its own, one for SIGPIPE, so that a write to a rank that is
/// gone is an error, and, unless the variable RANKEXEC_NO_STACKS is set, those that report native stacks: for
/// SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT, which keep their effect, and for the highest unused real-time
/// signal.
///
/// Returns the process's exit code: 0 after an orderly close, 2 when the process was not started by
/// rankexec (standard error says how to start it), 1 otherwise. Call it on the main thread, once,
/// before other threads exist.
[[nodiscard]] RANKEXEC_EXPORT int run(const ComponentRegistry& registry);

}  // namespace rankexec::worker
