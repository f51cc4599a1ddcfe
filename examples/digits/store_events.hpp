// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

/// The two events that make a key-value store out of a group, and their properties.
namespace digits::store_event {

inline constexpr std::string_view kSet = "digits.store.set";          ///< rank to parent
inline constexpr std::string_view kChanged = "digits.store.changed";  ///< parent to all ranks
inline constexpr std::string_view kKey = "digits.store.key";          ///< text
inline constexpr std::string_view kValue = "digits.store.value";      ///< bytes

}  // namespace digits::store_event
