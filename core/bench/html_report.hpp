// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "rankexec/core/bench/measurement.hpp"

namespace rankexec::bench {

/// The record as one file for a browser: goals, plots and all figures, for light and dark surroundings, without scripts
/// and references to other files.
[[nodiscard]] std::string to_html(const Record& record);

}  // namespace rankexec::bench
