// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rankexec::process {

/// An environment as a list of NAME=value, each name at most once.
using Environment = std::vector<std::string>;

/// `base` with every entry of `additions`, which win. Order is kept.
[[nodiscard]] Environment merge(Environment base, const Environment& additions);
/// Sets one variable, replacing it if it is there.
void set_variable(Environment& environment, std::string_view name, std::string_view value);
void remove_variable(Environment& environment, std::string_view name);
/// The variable's value; empty when it is not set.
[[nodiscard]] std::string_view variable(const Environment& environment, std::string_view name);

}  // namespace rankexec::process
