// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// One file of an archive that pack_folder() has made, without unpacking it. The error is for people: there is no such
/// file, it is larger than `most_bytes`, or the archive cannot be read. Any thread.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::string, std::string> read_from_archive(
    const std::filesystem::path& archive, std::string_view name, std::size_t most_bytes = std::size_t{64} << 20U);

}  // namespace rankexec::job
