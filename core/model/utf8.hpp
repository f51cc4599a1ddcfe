// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// `text` with every byte that is not part of well-formed UTF-8 (RFC 3629: no surrogates, no overlong
/// forms, nothing above U+10FFFF) replaced by U+FFFD. Output of ranks and bytes off the wire go
/// through this before they reach a terminal or JSON.
[[nodiscard]] RANKEXEC_EXPORT std::string replace_invalid_utf8(std::string_view text);

}  // namespace rankexec
