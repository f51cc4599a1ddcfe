// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "rankexec/core/job/model/job_record.hpp"

namespace rankexec::job {

struct StoreOptions {
    static constexpr std::int64_t kDefaultBundleLimit = std::int64_t{1} << 30U;

    /// Made if it is not there; holds nothing but the store.
    std::filesystem::path directory;
    /// A larger bundle is refused.
    std::int64_t max_bundle_bytes = kDefaultBundleLimit;
    std::function<WallTime()> clock = wall_now;
};

}  // namespace rankexec::job
