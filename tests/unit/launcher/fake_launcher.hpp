// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "rankexec/core/executor/outside/launcher.hpp"
#include "rankexec/core/executor/outside/launcher_executor.hpp"
#include "rankexec/ipc/pipe/wait_room.hpp"
#include "rankexec/worker/agent/agent.hpp"
#include "unit/pipe/forms.hpp"

namespace rankexec::test {

/// A launcher whose program is a thread of the test: an agent in this process.
class FakeLauncher final : public Launcher {
public:
    /// What the program does after its launch; its agent goes with it.
    using Program = std::function<void(agent::Agent&)>;

    FakeLauncher() = default;
    ~FakeLauncher() override { end_program(); }

    // ---- the test's side ----
    Program program = [](agent::Agent& agent) { serve(agent); };
    std::function<tl::expected<Launched, Failure>(const Launch&, const Signal&)> on_launch;  ///< instead of starting
    std::function<void()> on_stop;
    std::function<RunStatus()> on_check;  ///< instead of `status`
    std::atomic<bool> stops_after_task = true;
    std::atomic<bool> tells = false;
    std::atomic<RunStatus> status = RunStatus::not_running;
    std::atomic<int> launches = 0;
    std::atomic<int> checks = 0;
    std::atomic<int> finalised = 0;
    std::atomic<long> longest = 0;
    std::chrono::milliseconds heartbeats{20};  ///< between two of the program's

    /// Answers every task with its input.
    static void serve(agent::Agent& agent, int tasks = 1'000'000) {
        for (int done = 0; done < tasks && agent.is_running(); ++done) {
            auto task = agent.get_task(kLong);
            if (!task || !*task) return;
            (void)agent.submit_result((*task)->input);
        }
    }
    void becomes(RunStatus now) {
        status = now;
        std::function<void()> callback;
        {
            const std::lock_guard lock(mutex_);
            callback = callback_;
        }
        if (callback) callback();
        room_.notify();
    }
    /// "train finished", ...
    std::vector<std::string> stops() {
        const std::lock_guard lock(mutex_);
        return stops_;
    }
    bool wait_until(const std::function<bool()>& condition) {
        const auto deadline = pipe::deadline_after(kLong);
        while (true) {
            const auto seen = room_.changes();
            if (condition()) return true;
            if (pipe::Clock::now() >= deadline) return false;
            room_.wait(seen, deadline);
        }
    }
    void end_program() {
        const std::lock_guard lock(thread_mutex_);
        if (thread_.joinable()) thread_.join();
    }

    // ---- the executor's side ----
    tl::expected<Launched, Failure> launch_task(const Launch& launch, Context&, const Signal& abort) override {
        ++launches;
        room_.notify();
        if (on_launch) return on_launch(launch, abort);
        start(launch);
        return Launched::started;
    }
    void start(const Launch& launch) {
        end_program();
        status = RunStatus::running;
        const std::lock_guard lock(thread_mutex_);
        thread_ = std::thread([this, address = launch.agent_address] {
            agent::InitOptions options;
            options.address = address;
            options.handler.heartbeat_interval = heartbeats;
            auto agent = agent::init(options);
            if (agent) program(**agent);
        });
    }
    void stop_task(const std::string& task, StopReason reason) override {
        {
            const std::lock_guard lock(mutex_);
            stops_.push_back(task + (reason == StopReason::finished ? " finished" : " given up"));
        }
        room_.notify();
        if (on_stop) on_stop();
        if (reason == StopReason::finished && !stops_after_task) return;
        status = RunStatus::not_running;
    }
    RunStatus check_run_status(const std::string&) override {
        ++checks;
        room_.notify();
        return on_check ? on_check() : status.load();
    }
    void finalise() override {
        ++finalised;
        status = RunStatus::not_running;
        room_.notify();
    }
    bool needs_deferred_stop() const override { return stops_after_task; }
    bool on_change(std::function<void()> callback) override {
        if (!tells) return false;
        const std::lock_guard lock(mutex_);
        callback_ = std::move(callback);
        return true;
    }
    Milliseconds longest_stop() const override { return Milliseconds(longest); }

private:
    pipe::WaitRoom room_;
    std::mutex mutex_;
    std::vector<std::string> stops_;
    std::function<void()> callback_;
    std::mutex thread_mutex_;
    std::thread thread_;
};

}  // namespace rankexec::test
