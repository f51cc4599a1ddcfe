// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// How many more descriptors this process may open: RLIMIT_NOFILE less those that are open. libzmq
/// aborts the process when it runs out, so this is asked before a socket is made.
[[nodiscard]] RANKEXEC_EXPORT std::size_t available_descriptors();

/// How many more bytes of address space this process may take: RLIMIT_AS less what it has. The greatest number
/// when there is no limit.
[[nodiscard]] RANKEXEC_EXPORT std::size_t available_address_space();

/// Why the address space that is left does not do for so many more threads, as a sentence; nothing when it does, or
/// when there is no limit. With its first allocation a thread takes an arena of 64 MiB of addresses (glibc's
/// HEAP_MAX_SIZE; mallopt(3), M_ARENA_MAX), which is kept for other threads when it ends. One that finds no room for
/// it shares another's, and when that cannot grow either, libzmq aborts the process: so this is asked before.
[[nodiscard]] RANKEXEC_EXPORT std::optional<std::string> lack_of_address_space(std::size_t threads);

/// How many bytes of memory the system has left for new pages without swapping (MemAvailable of proc(5)). Shared
/// memory has no limit of its own: allocating more of it ends with the kernel killing processes, not with an error.
/// The greatest number when the system does not say.
[[nodiscard]] RANKEXEC_EXPORT std::size_t available_memory();

/// Why so many more threads cannot be had at the same time, as a sentence; nothing when they can: tries it, after the
/// address space for them. libzmq aborts the process when its own cannot be started. Takes some 50 us per thread.
[[nodiscard]] RANKEXEC_EXPORT std::optional<std::string> lack_of_threads(std::size_t count);

}  // namespace rankexec
