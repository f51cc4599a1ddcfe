// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <tl/expected.hpp>

#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::job {

struct BundleOrder {
    std::string job;
    std::string digest;  ///< whose signature has been checked
    std::int64_t bytes = 0;
    std::int64_t most_bytes = 0;  ///< as an archive, and unpacked
};

/// Fetches a job's bundle from the controller in pieces, checks its digest and unpacks it into FOLDER/work; FOLDER is
/// made anew. The error is for people. Waits; not on the hub's thread.
[[nodiscard]] tl::expected<void, std::string> fetch_bundle(hub::HubEnd& hub, const BundleOrder& order,
                                                           const std::filesystem::path& folder);

}  // namespace rankexec::job
