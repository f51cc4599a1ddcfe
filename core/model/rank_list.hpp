// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Ranks for people, sorted and folded: {3, 0, 1, 2, 7} gives "0-3,7".
[[nodiscard]] RANKEXEC_EXPORT std::string format_ranks(std::span<const int> ranks);

}  // namespace rankexec
