// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// The candidate with the smallest edit distance (Levenshtein) to `name`, for "did you mean";
/// empty when none is within a third of the name's length, at least two edits.
[[nodiscard]] RANKEXEC_EXPORT std::string nearest_name(std::string_view name,
                                                       const std::vector<std::string>& candidates);

}  // namespace rankexec
