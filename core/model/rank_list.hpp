// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Ranks for people, sorted and folded: {3, 0, 1, 2, 7} gives "0-3,7".
[[nodiscard]] RANKEXEC_EXPORT std::string format_ranks(std::span<const int> ranks);

/// The same as the subject of a sentence: "rank 1" and `one`, or "ranks 1,3" and `many`.
[[nodiscard]] RANKEXEC_EXPORT std::string name_ranks(std::span<const int> ranks, std::string_view one = {},
                                                     std::string_view many = {});

}  // namespace rankexec
