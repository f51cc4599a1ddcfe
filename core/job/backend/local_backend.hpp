// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "rankexec/core/job/backend/run_backend.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec::job {

struct RANKEXEC_EXPORT LocalBackendOptions {
    std::chrono::milliseconds grace{5'000};  ///< between terminating a run (SIGTERM) and killing it
    wire::Containment containment = wire::Containment::automatic;
};

/// Runs parts as processes of this host, each under a guardian: when a run is stopped or has ended, and when this
/// process is gone, however, every descendant of it is ended too.
///
/// A run sees our environment and RunSpec::environment, which reaches it through the guardian's private socket and is
/// never on a command line. CUDA_VISIBLE_DEVICES is RunSpec::gpus: empty, and so no device, when none was allotted.
/// RunSpec::log is created with mode 0600 and appended to until the run and all that it started is gone; on_end comes
/// after that.
///
/// on_end is called on a thread of the run, perhaps before start() has returned; it may call everything but the
/// destructor. adopt() finds nothing after a restart, because nothing survives the process that started it.
class RANKEXEC_EXPORT LocalBackend final : public RunBackend {
public:
    /// Throws ConfigurationError for a negative grace.
    explicit LocalBackend(LocalBackendOptions options = {});
    /// Ends all runs, softly and then by force, and returns when nothing is left. on_end is not called for them.
    ~LocalBackend() override;

    void on_end(OnEnd callback) override;
    /// Returns when the program runs. Fails with launch_error: it cannot be started, another run of that job is under
    /// way, or stop() was called meanwhile; then nothing is left, on_end is not called, and the token may be used
    /// again.
    tl::expected<void, Failure> start(const RunSpec& spec) override;
    [[nodiscard]] bool adopt(const RunSpec& spec) override;
    void stop(const std::string& job) override;
    [[nodiscard]] bool runs(const std::string& job) const override;
    [[nodiscard]] std::string name() const override;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace rankexec::job
