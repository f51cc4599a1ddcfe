// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Text of a rank that is safe on a terminal: valid UTF-8, without escape sequences and other control
/// characters, cut to about `longest` bytes. A tab stays.
[[nodiscard]] RANKEXEC_EXPORT std::string printable(std::string_view text, std::size_t longest);

}  // namespace rankexec
