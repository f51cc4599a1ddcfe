// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "rankexec/core/bench/comparison.hpp"
#include "rankexec/core/bench/measurement.hpp"

namespace rankexec::cli {

/// "round-trip, 8 ranks, zeromq": what `rankexec bench` says it is measuring.
[[nodiscard]] std::string describe(const bench::Case& where);
/// The figures as a table for people.
[[nodiscard]] std::string format_measurements(const std::vector<bench::Measurement>& measurements);
/// What differs from an earlier run, and whether that means anything.
[[nodiscard]] std::string format_differences(const std::vector<bench::Difference>& differences);

}  // namespace rankexec::cli
