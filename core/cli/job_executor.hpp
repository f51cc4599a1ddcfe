// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/cli/job_file.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/executor/multi_process_executor.hpp"
#include "rankexec/core/model/signal.hpp"

namespace rankexec::cli {

/// The executor of a job, of any kind, as the workflow needs it. Owned by the run; the component itself is the
/// engine's, which must outlive it. One thread at a time.
class JobExecutor {
public:
    using OnOutput = std::function<void(int rank, wire::OutputStream stream, std::string_view bytes)>;

    virtual ~JobExecutor() = default;

    /// Until tasks can be executed. On failure everything has been ended.
    virtual tl::expected<void, Failure> initialise(Context& context, const Signal& abort) = 0;
    /// `deadline` 0: none.
    virtual Shareable execute(const std::string& task, const Shareable& input, Context& context, const Signal& abort,
                              std::chrono::milliseconds deadline) = 0;
    /// What executes the tasks has failed and ended: all further ones will fail, until finalise() and initialise().
    [[nodiscard]] virtual bool lost() const { return false; }
    /// After the event end_run: ends what that did not end.
    virtual void finalise() = 0;

    /// Who works on the tasks.
    struct Worker {
        std::string name;   ///< the rank, or what the program is called
        std::string place;  ///< host; empty: unknown
        std::string pid;    ///< empty: unknown
    };
    [[nodiscard]] virtual std::vector<Worker> workers() const = 0;
    /// After finalise(): what has gone wrong at the end, and what is left.
    struct Leftovers {
        std::vector<std::int64_t> surviving_pids;
        std::optional<Failure> end_failure;
        std::string log_error;
    };
    [[nodiscard]] virtual Leftovers leftovers() const = 0;
};

/// SITE/ID of the agent of a job with executor "ipc".
[[nodiscard]] std::string agent_name(const Job& job);

/// Makes it, and adds its component to the engine. Throws ConfigurationError. Starts nothing.
[[nodiscard]] std::unique_ptr<JobExecutor> make_job_executor(const Job& job, Engine& engine,
                                                             JobExecutor::OnOutput on_output);

}  // namespace rankexec::cli
