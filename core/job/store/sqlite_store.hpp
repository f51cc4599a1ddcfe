// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "rankexec/core/job/store/job_store.hpp"
#include "rankexec/core/job/store/store_options.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// The store of a controller: an SQLite database (jobs.sqlite3) and the jobs' files, in one directory that belongs to
/// one process at a time. Removes what a process that was killed has left there.
///
/// Status changes, new jobs and incarnations are synced to the disk before they return; attempts, reasons and events
/// survive the end of the process at once, and that of the machine with the next status change.
///
/// StoreError (unusable): another process has it open, the database is broken, or was made by a newer version.
[[nodiscard]] RANKEXEC_EXPORT Stored<std::unique_ptr<JobStore>> open_sqlite_store(StoreOptions options);

}  // namespace rankexec::job
