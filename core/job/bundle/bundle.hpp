// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/model/job_definition.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"

/// A job travels as a bundle, and its results likewise: a folder as a tar archive, compressed with gzip. Any thread may
/// call everything. A Failure has bad_request_data when the folder or the archive is at fault, and execution_exception
/// when this machine is (disk full, no permission).
namespace rankexec::job {

struct RANKEXEC_EXPORT BundleLimits {
    std::int64_t max_bytes = std::int64_t{1} << 30U;  ///< of the archive, and of all that is in it together
    std::int64_t max_entries = 100'000;               ///< files, folders and links
};

struct RANKEXEC_EXPORT PackOptions {
    BundleLimits limits;
    /// What no bundle may have: links that lead out of the folder, sockets, devices, files that disappear while they
    /// are read, and entries over the limit. Refused for a job; left out, and listed, for a workspace.
    enum class Odd : std::uint8_t { refused, left_out } odd = Odd::refused;
};

struct RANKEXEC_EXPORT PackedFolder {
    std::int64_t bytes = 0;             ///< of the archive
    std::int64_t entries = 0;           ///< in it
    std::vector<std::string> left_out;  ///< paths in the folder, each with the reason, at most 100
};

/// Writes the folder's content to the file `archive`, which is replaced, or not there after a Failure. The same names,
/// contents, executable bits and links give the same bytes, whoever packs them, where and when.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<PackedFolder, Failure> pack_folder(const std::filesystem::path& folder,
                                                                              const std::filesystem::path& archive,
                                                                              const PackOptions& options = {});

/// Unpacks it into `folder`, which is made, or is empty. What is refused, with nothing left behind: anything over the
/// limits, absolute paths and such with "..", links out of the folder, links to links' contents (hard links), devices,
/// sockets, the same path twice, and what is no gzipped tar. Owners and special bits (setuid) are not taken over.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<void, Failure> unpack_bundle(const std::filesystem::path& archive,
                                                                        const std::filesystem::path& folder,
                                                                        const BundleLimits& limits = {});

/// Reads all of a job's bundle as unpack_bundle() does, without writing anything, and what its job.toml says. Refused
/// beside that: no job.toml, one that is wrong, and a part of it whose folder has no part.toml.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<JobDefinition, Failure> inspect_bundle(const std::filesystem::path& archive,
                                                                                  const BundleLimits& limits = {});

/// BLAKE2b-256, 64 hexadecimal digits.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::string, Failure> bundle_digest(const std::filesystem::path& archive);
[[nodiscard]] RANKEXEC_EXPORT std::string bundle_digest(std::span<const std::byte> content);

/// In the folder of each part.
inline constexpr const char* kPartFile = "part.toml";

}  // namespace rankexec::job
