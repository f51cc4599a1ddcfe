// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// How many more descriptors this process may open: RLIMIT_NOFILE less those that are open. libzmq
/// aborts the process when it runs out, so this is asked before a socket is made.
[[nodiscard]] RANKEXEC_EXPORT std::size_t available_descriptors();

}  // namespace rankexec
