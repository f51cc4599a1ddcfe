// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rankexec::cli {

inline constexpr std::size_t kLongestName = 40;

/// Text of a rank that is safe on a terminal: valid UTF-8, without escape sequences and other control
/// characters, cut to about `longest` bytes.
[[nodiscard]] std::string printable(std::string_view text, std::size_t longest);

}  // namespace rankexec::cli
