// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <tl/expected.hpp>

#include "rankexec/core/process/child_process.hpp"

namespace rankexec::process {

/// argv[0] of the first process of a contained group's PID namespace, which is the guardian's program again.
inline constexpr const char* kNamespaceInit = "rankexec-init";

/// Makes a PID namespace that all later children of this process live in, and starts its first process,
/// whose pid is returned. That one adopts and reaps what the others leave behind. The kernel ends all of
/// them with it, and it ends with this process, however that ends: nothing can outlive it.
///
/// Without CAP_SYS_ADMIN a user namespace is made as well, in which nothing but our user and group
/// is known. Fails where the system permits neither; the message says what would permit it. Only for single-threaded
/// processes, and at most once in each. To be called before anything else is started.
[[nodiscard]] tl::expected<pid_t, StartError> enter_pid_namespace();

/// The whole life of that first process.
[[noreturn]] void run_namespace_init();

}  // namespace rankexec::process
