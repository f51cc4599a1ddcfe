// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "fake_hub.hpp"
#include "rankexec/core/job/workflow/hub_session.hpp"
#include "rankexec/core/job/workflow/site_part.hpp"

namespace rankexec::job {

inline constexpr const char* kJob = "0123456789abcdef0123456789abcdef";

/// Executes tasks by a function of the test, and remembers which.
class FakeWork final : public PartWork {
public:
    using Execute = std::function<Shareable(const std::string& task, const Shareable& input, const Signal& abort)>;

    Execute on_execute;  ///< not set: the input is the reply
    std::function<tl::expected<void, Failure>(const Signal& abort)> on_initialise;

    tl::expected<void, Failure> initialise(const Signal& abort) override {
        return on_initialise ? on_initialise(abort) : tl::expected<void, Failure>{};
    }
    Shareable execute(const std::string& task, const Shareable& input, const Signal& abort) override {
        {
            const std::lock_guard lock(mutex_);
            executed_.push_back(task);
        }
        return on_execute ? on_execute(task, input, abort) : input;
    }
    void finalise() override { finalised = true; }

    [[nodiscard]] std::vector<std::string> executed() const {
        const std::lock_guard lock(mutex_);
        return executed_;
    }
    std::atomic<bool> finalised = false;

private:
    mutable std::mutex mutex_;
    std::vector<std::string> executed_;
};

/// A site's part on a thread of its own.
class FakeSite {
public:
    FakeSite(FakeHub& hub, const std::string& name, std::chrono::milliseconds controller_gone_after);
    ~FakeSite();
    FakeSite(const FakeSite&) = delete;
    FakeSite& operator=(const FakeSite&) = delete;

    void start();
    /// Waits for its end.
    SitePart::End wait();

    FakeWork work;
    SitePart& part() { return *part_; }

private:
    FakeHub::End& end_of_hub_;
    std::unique_ptr<SitePart> part_;
    std::future<SitePart::End> end_;
};

/// A job's controller, controller part and sites over a hub in memory.
class FakeRun {
public:
    explicit FakeRun(const std::vector<std::string>& sites, int min_sites = 1);
    ~FakeRun();
    FakeRun(const FakeRun&) = delete;
    FakeRun& operator=(const FakeRun&) = delete;

    FakeSite& site(const std::string& name) { return *sites_.at(name); }
    HubWorkflowSession& session() { return *session_; }
    /// Starts the part and connects it.
    void start(const std::string& site);
    void start_all();
    /// Waits until all sites are there.
    [[nodiscard]] tl::expected<void, Failure> wait_sites() { return session().wait_sites(std::chrono::hours(1)); }

    /// As a controller that was killed: the sites lose it, and another controller part takes its place.
    void restart_controller();
    void end_controller_part();
    void start_controller_part();

    /// A request of the controller.
    hub::Reply ask(const std::string& participant, const char* topic, Value::Map headers);

    FakeHub hub;
    Signal abort;
    HubWorkflowSession::Options options;
    std::mutex mutex;                         ///< guards what the controller's thread uses: the next three
    std::map<std::string, std::string> lost;  ///< sites that the controller says are, and why
    std::optional<Tensor> snapshot;           ///< that the controller keeps
    std::vector<std::string> lines;           ///< of progress
    std::chrono::milliseconds controller_gone_after = std::chrono::hours(1);

private:
    std::map<std::string, std::unique_ptr<FakeSite>> sites_;
    FakeHub::End* controller_ = nullptr;
    FakeHub::End* part_ = nullptr;
    std::unique_ptr<HubWorkflowSession> session_;
};

/// A Shareable with one header.
inline Shareable with_header(const std::string& name, Value value) {
    Shareable shareable;
    shareable.headers.insert_or_assign(name, std::move(value));
    return shareable;
}

}  // namespace rankexec::job
