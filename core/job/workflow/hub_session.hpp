// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/job/workflow/part_report.hpp"
#include "rankexec/core/job/workflow/task_board.hpp"
#include "rankexec/core/job/workflow/workflow.hpp"
#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::job {

/// The session of a job's controller part: its sites are the peers "run/JOB/SITE" of a hub, its controller is the hub
/// itself. part_topics.hpp says what they say to each other. Any thread.
class RANKEXEC_EXPORT HubWorkflowSession final : public WorkflowSession {
public:
    struct Options {
        std::string job;
        std::vector<std::string> sites;  ///< that have a part of it
        int min_sites = 1;
        int incarnation = 1;
        std::string result_directory;
        Milliseconds site_gone_after{30'000};  ///< a site that was there and is away for so long is lost
        Milliseconds answer_timeout{60'000};   ///< for the controller to answer
        std::function<void(const std::string& line)> on_progress;  ///< here too, on the thread that tells of it
    };
    /// Takes its topics of the end, before that is started; the end must be closed before the session is destroyed.
    /// Triggering `abort` ends what waits.
    HubWorkflowSession(hub::HubEnd& hub, Options options, Signal abort);
    ~HubWorkflowSession() override;
    HubWorkflowSession(const HubWorkflowSession&) = delete;
    HubWorkflowSession& operator=(const HubWorkflowSession&) = delete;

    /// The end is connected, for the first time or again: tells the controller, which says again which sites are lost,
    /// and asks the sites whether they are there.
    void on_connected();
    /// Asks the controller for the snapshot of an earlier incarnation. Before the workflow runs.
    [[nodiscard]] tl::expected<void, Failure> load_snapshot();
    /// As TaskBoard::wait_sites.
    [[nodiscard]] tl::expected<void, Failure> wait_sites(Milliseconds wait_after_min) {
        return board_.wait_sites(wait_after_min);
    }
    /// The run is over: tells the sites' parts, and waits until they have answered, within that time.
    void end_sites(const std::string& reason, bool aborted, Milliseconds timeout);
    /// What has come together: figures, progress, tasks, late results.
    void fill(PartReport& report) const;

    [[nodiscard]] std::vector<std::string> sites() const override { return board_.sites(); }
    [[nodiscard]] int min_sites() const override { return options_.min_sites; }
    [[nodiscard]] tl::expected<std::map<std::string, Shareable>, Failure> broadcast_and_wait(
        const Broadcast& broadcast) override {
        return board_.broadcast_and_wait(broadcast);
    }
    [[nodiscard]] Shareable send(const std::string& site, const std::string& task, const Shareable& input,
                                 Milliseconds timeout) override {
        return board_.send(site, task, input, timeout);
    }
    [[nodiscard]] Shareable relay(const std::vector<std::string>& sites, const std::string& task,
                                  const Shareable& input, Milliseconds timeout) override;
    [[nodiscard]] Signal abort() const override { return abort_; }
    /// Throws std::runtime_error when the controller cannot keep it: the run could not be restored.
    void save_snapshot(const Shareable& state) override;
    [[nodiscard]] std::optional<Shareable> snapshot() const override;
    void progress(const std::string& line) override;
    void figure(const std::string& name, std::int64_t step, double value) override;
    [[nodiscard]] const std::string& result_directory() const override { return options_.result_directory; }
    [[nodiscard]] std::int64_t late_results() const override { return board_.late_results(); }

private:
    [[nodiscard]] TaskBoard::Hooks hooks();
    [[nodiscard]] std::string peer_of(const std::string& site) const;
    /// Empty for a peer that is no site's part of this job.
    [[nodiscard]] std::string site_of(const std::string& peer) const;
    void take_topics();
    void say_ready();
    void ask_state(const std::string& site);

    hub::HubEnd& hub_;
    const Options options_;
    const Signal abort_;
    mutable std::mutex mutex_;
    std::optional<Shareable> snapshot_;
    Figures figures_;
    std::deque<std::string> progress_;
    TaskBoard board_;
};

}  // namespace rankexec::job
