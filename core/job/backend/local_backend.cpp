// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/backend/local_backend.hpp"

#include <algorithm>
#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/executor/outside/program_group.hpp"
#include "rankexec/core/job/backend/run_log.hpp"
#include "rankexec/core/job/backend/started_tokens.hpp"
#include "rankexec/core/model/wiping.hpp"
#include "rankexec/core/system/rank_variables.hpp"

namespace rankexec::job {
namespace {

tl::unexpected<Failure> refused(const RunSpec& spec, const std::string& why) {
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = "the part of job " + spec.job + " for " + spec.participant + " is not started: " + why;
    return tl::unexpected(std::move(failure));
}

GroupOptions group_of(const RunSpec& spec, const LocalBackendOptions& options) {
    GroupOptions group;
    group.program = spec.command;
    group.environment = spec.environment;
    std::string devices;
    for (const auto& gpu : spec.gpus) devices += (devices.empty() ? "" : ",") + gpu;
    set_environment_value(group.environment, "CUDA_VISIBLE_DEVICES", devices);
    group.directory = spec.directory;
    group.grace = options.grace;
    group.containment = options.containment;
    return group;
}

RunEnd end_of(const ProgramReport& report, bool stopping) {
    RunEnd end;
    end.exit = report.facts.exit;
    if (report.ended_by_us || (stopping && !report.facts.exit)) {
        end.kind = RunEnd::Kind::stopped;
    } else if (!report.facts.exit || report.facts.exit->signalled) {
        end.kind = RunEnd::Kind::killed;
    } else if (!report.facts.exit->success()) {
        end.kind = RunEnd::Kind::failure;
    }
    if (end.exit) end.detail = to_string(*end.exit);
    if (end.kind == RunEnd::Kind::success || end.kind == RunEnd::Kind::stopped) return end;
    if (!end.exit) end.detail = report.facts.headline();
    if (report.facts.out_of_memory) end.detail += ", because the memory had run out";
    if (!report.facts.stderr_tail.empty()) end.detail += ": " + report.facts.stderr_tail.back();
    return end;
}

/// One process, and the thread that waits for its end.
struct Run {
    std::string job;
    std::string token;
    std::unique_ptr<RunLog> log;  ///< outlives the group, which writes to it
    std::unique_ptr<ProgramGroup> group;
    Signal abort;  ///< triggered by stop(), also while it starts
    std::thread thread;
    bool told = false;  ///< the thread does nothing more

    std::mutex mutex;
    std::condition_variable changed;
    bool stopping = false;

    void request_stop() {
        abort.trigger("it was stopped");
        {
            const std::lock_guard lock(mutex);
            stopping = true;
        }
        changed.notify_all();
    }
    /// Without the lock nothing would be missed between the look and the wait.
    void notify() {
        { const std::lock_guard lock(mutex); }
        changed.notify_all();
    }
    /// Until it ended or shall be stopped; whether it shall.
    bool wait() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return stopping || group->status() != RunStatus::running; });
        return stopping;
    }
};

}  // namespace

class LocalBackend::Impl {
public:
    explicit Impl(LocalBackendOptions options) : options_(options) {
        if (options_.grace.count() < 0) {
            throw ConfigurationError(ConfigurationError::Kind::option, "local backend: the grace is negative");
        }
    }

    ~Impl() {
        on_end({});
        std::unique_lock lock(mutex_);
        closing_ = true;
        for (const auto& [job, run] : runs_) run->request_stop();
        all_told_.wait(lock, [this] { return runs_.empty() && all_ended_told(); });
        reap(lock);
    }

    void on_end(OnEnd callback) {
        const std::lock_guard lock(mutex_);
        on_end_ = std::make_shared<const OnEnd>(std::move(callback));
    }

    tl::expected<void, Failure> start(const RunSpec& spec) {
        const std::lock_guard one_at_a_time(starting_);
        std::shared_ptr<Run> run;
        {
            std::unique_lock lock(mutex_);
            reap(lock);
            if (closing_) return refused(spec, "this site is shutting down");
            if (tokens_.contains(spec.token)) return {};
            if (runs_.contains(spec.job)) return refused(spec, "another run of it is under way here");
            run = std::make_shared<Run>();
            run->job = spec.job;
            run->token = spec.token;
            runs_.emplace(spec.job, run);
        }
        auto launched = launch(*run, spec);
        const std::lock_guard lock(mutex_);
        if (launched) {
            tokens_.add(spec.token);
            run->thread = std::thread([this, run] { look_after(run); });
        } else {
            runs_.erase(spec.job);
        }
        return launched;
    }

    void stop(const std::string& job) {
        const std::lock_guard lock(mutex_);
        const auto found = runs_.find(job);
        if (found != runs_.end()) found->second->request_stop();
    }

    [[nodiscard]] bool runs(const std::string& job) const {
        const std::lock_guard lock(mutex_);
        return runs_.contains(job);
    }
    [[nodiscard]] bool runs(const std::string& job, const std::string& token) const {
        const std::lock_guard lock(mutex_);
        const auto found = runs_.find(job);
        return found != runs_.end() && found->second->token == token;
    }

private:
    tl::expected<void, Failure> launch(Run& run, const RunSpec& spec) const {
        std::error_code error;
        if (!spec.directory.empty() && !std::filesystem::is_directory(spec.directory, error)) {
            return refused(spec, "its directory " + spec.directory.string() + " is missing");
        }
        auto log = RunLog::open(spec.log);
        if (!log) return refused(spec, log.error().message);
        run.log = std::make_unique<RunLog>(std::move(*log));
        auto group = group_of(spec, options_);
        auto started = [&]() -> tl::expected<std::unique_ptr<ProgramGroup>, Failure> {
            try {
                const auto write = [&run](int, wire::OutputStream, std::string_view bytes) { run.log->append(bytes); };
                return ProgramGroup::start(group, write, [&run] { run.notify(); });
            } catch (const ConfigurationError& wrong) {
                return refused(spec, wrong.what());
            }
        }();
        for (auto& entry : group.environment) wipe(entry);
        if (!started) return refused(spec, started.error().message);
        run.group = std::move(*started);
        if (const auto runs = run.group->wait_until_started(run.abort); !runs) {
            run.group.reset();
            return refused(spec, runs.error().headline());
        }
        return {};
    }

    void look_after(const std::shared_ptr<Run>& run) {
        const bool stopping = run->wait();
        // Also what an ended program has left in the background.
        run->group->end(options_.grace);
        const auto end = end_of(run->group->report(), stopping);
        run->group.reset();
        run->log.reset();
        std::shared_ptr<const OnEnd> tell;
        {
            const std::lock_guard lock(mutex_);
            runs_.erase(run->job);
            ended_.push_back(run);
            tell = on_end_;
        }
        if (tell && *tell) (*tell)(run->job, end);
        const std::lock_guard lock(mutex_);
        run->told = true;
        all_told_.notify_all();
    }

    [[nodiscard]] bool all_ended_told() const {
        return std::ranges::all_of(ended_, [](const auto& run) { return run->told; });
    }

    /// Joins threads that have nothing more to do than to end. With the lock, which they are past.
    void reap(const std::unique_lock<std::mutex>& /*held*/) {
        ended_.remove_if([](const auto& run) {
            if (run->told) run->thread.join();
            return run->told;
        });
    }

    const LocalBackendOptions options_;
    std::mutex starting_;  ///< one start at a time: whoever starts the same again learns how the first went
    mutable std::mutex mutex_;
    std::condition_variable all_told_;
    bool closing_ = false;
    std::shared_ptr<const OnEnd> on_end_;
    StartedTokens tokens_;
    std::map<std::string, std::shared_ptr<Run>> runs_;  ///< by job; with their threads, but for one that starts
    std::list<std::shared_ptr<Run>> ended_;             ///< their threads end, or have
};

LocalBackend::LocalBackend(LocalBackendOptions options) : impl_(std::make_unique<Impl>(options)) {}
LocalBackend::~LocalBackend() = default;

void LocalBackend::on_end(OnEnd callback) { impl_->on_end(std::move(callback)); }
tl::expected<void, Failure> LocalBackend::start(const RunSpec& spec) { return impl_->start(spec); }
bool LocalBackend::adopt(const RunSpec& spec) { return impl_->runs(spec.job, spec.token); }
void LocalBackend::stop(const std::string& job) { impl_->stop(job); }
bool LocalBackend::runs(const std::string& job) const { return impl_->runs(job); }
std::string LocalBackend::name() const { return "local"; }

}  // namespace rankexec::job
