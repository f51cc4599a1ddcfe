// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// A folder of ours that nobody else may look into: made where it is not there, closed to others where it is empty or
/// has an entry `sign`, which tells that it is ours. Another one that is open to others is left as it is, for it may be
/// somebody's (/tmp, a home); the error says so, as it does when it cannot be made. Any thread.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<void, std::string> make_private_folder(const std::filesystem::path& folder,
                                                                                  const char* sign);

}  // namespace rankexec
