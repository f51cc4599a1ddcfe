// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/model/resources.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"

namespace rankexec::job {

/// A part's process, to be started.
struct RANKEXEC_EXPORT RunSpec {
    std::string job;                   ///< its id
    std::string participant;           ///< the site's name, or "controller"
    std::string token;                 ///< letters, digits, '_', '.', '-'; the same start twice has the same, no other
    std::vector<std::string> command;  ///< argv, no shell
    std::vector<std::string> environment;  ///< NAME=value, added; secrets may be among them
    std::filesystem::path directory;       ///< working directory: the part's workspace
    std::filesystem::path log;             ///< standard output and error go there, appended
    ResourceNeed need;                     ///< for engines that allot resources themselves
    std::vector<std::string> gpus;         ///< those that the site has allotted; empty: none
};

/// How a part's process ended.
struct RANKEXEC_EXPORT RunEnd {
    enum class Kind : std::uint8_t {
        success,         ///< by itself, exit code 0
        failure,         ///< by itself, with another exit code: what it reported says more
        killed,          ///< by a signal that we did not send, or the machine is gone
        stopped,         ///< because stop() was called
        backend_failed,  ///< the engine's own failure: it was never started, or nobody can tell
    };
    Kind kind = Kind::success;
    std::optional<ExitStatus> exit;
    std::string detail;  ///< for people
};

/// "success", "failure", ...
[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(RunEnd::Kind kind) noexcept;

/// What runs the parts of jobs at a site: local processes, or an engine that the cluster has. One per site; any
/// thread.
class RANKEXEC_EXPORT RunBackend {
public:
    virtual ~RunBackend();

    /// Called once for each run that was started or adopted, from any thread, when it has ended, whoever ended it.
    using OnEnd = std::function<void(const std::string& job, const RunEnd& end)>;
    virtual void on_end(OnEnd callback) = 0;

    /// Exactly once per token: starting the same again while it runs, or was started by this site's process before,
    /// is success without a second run.
    virtual tl::expected<void, Failure> start(const RunSpec& spec) = 0;
    /// After a restart of this site: whether the run still lives; then on_end will be called for it.
    [[nodiscard]] virtual bool adopt(const RunSpec& spec) = 0;
    /// Ends it, softly, then by force; returns at once. Nothing when there is none.
    virtual void stop(const std::string& job) = 0;
    [[nodiscard]] virtual bool runs(const std::string& job) const = 0;
    /// "local", "slurm"
    [[nodiscard]] virtual std::string name() const = 0;
};

}  // namespace rankexec::job
