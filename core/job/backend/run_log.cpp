// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/backend/run_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec::job {

tl::expected<RunLog, Failure> RunLog::open(const std::filesystem::path& path) {
    UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600));
    if (!file.valid()) {
        Failure failure;
        failure.code = ReturnCode::launch_error;
        failure.message = "the log " + path.string() + " cannot be opened: " + std::generic_category().message(errno);
        return tl::unexpected(std::move(failure));
    }
    return RunLog(std::move(file), path);
}

void RunLog::append(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto written = ::write(file_.get(), bytes.data(), bytes.size());
        if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
        if (written >= 0 || errno == EINTR) continue;
        if (!warned_) {
            log::warning("the output of a run is not written to " + path_.string() + ": " +
                         std::generic_category().message(errno));
        }
        warned_ = true;
        return;
    }
}

}  // namespace rankexec::job
