// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>

#include <tl/expected.hpp>

#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::job {

/// What a run writes, appended to a file that only its owner reads. One thread at a time.
class RunLog {
public:
    /// Fails with launch_error.
    [[nodiscard]] static tl::expected<RunLog, Failure> open(const std::filesystem::path& path);

    /// What cannot be written (a full disk) is lost, with one warning: a run does not fail for its log.
    void append(std::string_view bytes);

private:
    RunLog(UniqueFd file, std::filesystem::path path) : file_(std::move(file)), path_(std::move(path)) {}

    UniqueFd file_;
    std::filesystem::path path_;
    bool warned_ = false;
};

}  // namespace rankexec::job
