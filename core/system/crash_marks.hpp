// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

/// What a crashing rank writes to its standard error around its frames, so that its supervisor can tell
/// them from the rank's other last words. PROTOCOL.md has them too.
namespace rankexec::crash_mark {

inline constexpr std::string_view kBegin = "rankexec: native stack after ";  ///< SIGNAL ":" follows
inline constexpr std::string_view kFrame = "  #";                            ///< number, " ", frame
inline constexpr std::string_view kEnd = "rankexec: end of stack";

}  // namespace rankexec::crash_mark
