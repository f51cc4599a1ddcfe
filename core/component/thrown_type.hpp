// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// The type of the exception that is being handled, readable ("std::runtime_error"); empty when there is none, or it is
/// not from C++. Only within a catch block.
[[nodiscard]] RANKEXEC_EXPORT std::string name_of_thrown_type();

}  // namespace rankexec
