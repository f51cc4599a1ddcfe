// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"

namespace rankexec::job {

/// A file that is there as a whole or not at all: written beside `path`, synced, and then takes its place. The Failure
/// names file and reason. Any thread.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<void, Failure> write_whole_file(const std::filesystem::path& path,
                                                                           std::string_view content);

}  // namespace rankexec::job
