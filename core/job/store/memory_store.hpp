// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "rankexec/core/job/store/job_store.hpp"
#include "rankexec/core/job/store/store_options.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// A store that forgets its jobs with its process, for tests. Only the files of its jobs are in the directory, and
/// those of an earlier one there are removed. Throws std::runtime_error when the directory cannot be made.
[[nodiscard]] RANKEXEC_EXPORT std::unique_ptr<JobStore> make_memory_store(StoreOptions options);

}  // namespace rankexec::job
