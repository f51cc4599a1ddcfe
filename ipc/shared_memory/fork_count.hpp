// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Differs in a child of fork() from what its parent had since its first call. A child inherits handles to memory that
/// its parent shares with others, and must not speak for the parent when it lets them go. Any thread.
[[nodiscard]] RANKEXEC_EXPORT std::uint32_t fork_count() noexcept;

}  // namespace rankexec
