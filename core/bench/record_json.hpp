// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "rankexec/core/bench/measurement.hpp"

namespace rankexec::bench {

/// The record as JSON, indented, with a line break at its end; docs/bench.md lists its fields.
[[nodiscard]] std::string to_json(const Record& record);

/// Reads what to_json() wrote, or scripts/bench; unknown fields are passed over. The error is a clause for the user
/// without the file's name. Total: any text gives a record or an error.
[[nodiscard]] tl::expected<Record, std::string> parse_record(std::string_view text);

}  // namespace rankexec::bench
