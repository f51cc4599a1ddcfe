// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec {

/// A path for a run directory, of a name that nobody can guess: below XDG_RUNTIME_DIR, TMPDIR or /tmp,
/// the first that can be written to, has room, and is short enough for the sockets in it. Clears there
/// what others had to abandon. Makes nothing, so that whoever is to remove the directory can be told of it first. Fails
/// with launch_error, which says what was tried. Any thread.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::string, Failure> choose_run_directory();

/// A run directory, which is there as long as this is. One thread at a time.
class RANKEXEC_EXPORT RunDirectory {
public:
    /// Makes it, for this user alone. Fails with launch_error, also when something is there already.
    [[nodiscard]] static tl::expected<RunDirectory, Failure> make(const std::string& path);
    ~RunDirectory();
    RunDirectory(RunDirectory&& other) noexcept
        : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}
    RunDirectory& operator=(RunDirectory&&) = delete;

    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    RunDirectory(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}

    std::string path_;
    UniqueFd lock_;  ///< says to others that somebody lives here
};

/// Removes this user's run directories below `parent` that nobody lives in any more and that are older than
/// `age`: host and guardian were killed at the same instant, and neither could. What cannot be removed is
/// left. Any thread.
RANKEXEC_EXPORT void remove_abandoned_run_directories(const std::string& parent, std::chrono::seconds age);

}  // namespace rankexec
