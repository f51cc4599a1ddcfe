// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "rankexec/core/cli/job_executor.hpp"
#include "rankexec/core/cli/job_file.hpp"
#include "rankexec/core/cli/jobs/part_log.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/job/model/part_setup.hpp"
#include "rankexec/core/job/workflow/site_part.hpp"
#include "rankexec/core/model/context.hpp"

namespace rankexec::cli {

/// The executor that a part's part.toml describes, as `rankexec run` would run it.
class SiteWork final : public job::PartWork {
public:
    /// Reads and builds; starts nothing. Throws ConfigurationError, UnsafeComponent.
    explicit SiteWork(const job::PartSetup& setup);
    ~SiteWork() override;

    tl::expected<void, Failure> initialise(const Signal& abort) override;
    Shareable execute(const std::string& task, const Shareable& input, const Signal& abort) override;
    void finalise() override;

private:
    [[nodiscard]] tl::expected<void, Failure> start(const Signal& abort);

    const job::PartSetup& setup_;
    Job job_;
    std::unique_ptr<PartLog> log_;
    Engine engine_;
    std::unique_ptr<JobExecutor> executor_;
    Context context_;
    bool started_ = false;
    bool down_ = false;  ///< it could not be started again
};

}  // namespace rankexec::cli
