// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/job_executor.hpp"

#include <utility>

#include "rankexec/core/cli/deadline_signal.hpp"
#include "rankexec/core/cli/table.hpp"
#include "rankexec/core/executor/outside/ipc_exchanger.hpp"
#include "rankexec/core/executor/outside/launcher_executor.hpp"
#include "rankexec/core/executor/outside/rank_group_launcher.hpp"
#include "rankexec/core/executor/outside/subprocess_launcher.hpp"

namespace rankexec::cli {
namespace {

constexpr const char* kExecutorId = "rankexec.executor";

std::string text_of(std::int64_t pid) { return pid == 0 ? std::string() : std::to_string(pid); }

/// Adds a component, which the engine owns.
template <typename Component>
Component& added(Engine& engine, std::unique_ptr<Component> component) {
    auto& result = *component;
    engine.add(kExecutorId, std::move(component));
    return result;
}

/// Aborts the task at its deadline, and says so.
Shareable execute_within(Executor& executor, const std::string& task, const Shareable& input, Context& context,
                         const Signal& abort, std::chrono::milliseconds deadline) {
    const DeadlineSignal limit(abort, deadline,
                               "there is no result within " +
                                   format_seconds(std::chrono::duration<double>(deadline).count()) +
                                   " s (workflow.task_deadline_seconds)");
    auto reply = executor.execute(task, input, context, limit.signal());
    if (!limit.passed() || reply.code != ReturnCode::task_aborted) return reply;
    reply.code = ReturnCode::task_timeout;
    if (reply.failure) reply.failure->code = ReturnCode::task_timeout;
    return reply;
}

class GroupJob final : public JobExecutor {
public:
    GroupJob(const Job& job, Engine& engine, OnOutput on_output)
        : executor_(added(engine, std::make_unique<MultiProcessExecutor>(options_of(job, std::move(on_output))))) {}

    tl::expected<void, Failure> initialise(Context& context, const Signal& abort) override {
        return executor_.initialise(context, abort);
    }
    Shareable execute(const std::string& task, const Shareable& input, Context& context, const Signal& abort,
                      std::chrono::milliseconds deadline) override {
        return executor_.execute(task, input, context, abort, {deadline, false}).reply;
    }
    [[nodiscard]] bool lost() const override {
        const auto state = executor_.report().state;
        return state == GroupState::failing || state == GroupState::failed;
    }
    void finalise() override { executor_.finalise(); }
    [[nodiscard]] std::vector<Worker> workers() const override {
        std::vector<Worker> workers;
        for (const auto& rank : executor_.report().ranks) {
            workers.push_back({std::to_string(rank.rank), rank.host, text_of(rank.pid)});
        }
        return workers;
    }
    [[nodiscard]] Leftovers leftovers() const override {
        auto report = executor_.report();
        return {std::move(report.surviving_pids), std::move(report.end_failure), std::move(report.log_error)};
    }

private:
    static MultiProcessOptions options_of(const Job& job, OnOutput on_output) {
        auto options = job.executor;
        options.on_output = std::move(on_output);
        return options;
    }

    MultiProcessExecutor& executor_;
};

class LaunchedJob final : public JobExecutor {
public:
    LaunchedJob(const Job& job, Engine& engine, OnOutput on_output)
        : executor_(added(engine,
                          std::make_unique<LauncherExecutor>(launcher_of(job, std::move(on_output)), job.exchange))) {}

    tl::expected<void, Failure> initialise(Context& context, const Signal& /*abort*/) override {
        return executor_.initialise(context);
    }
    Shareable execute(const std::string& task, const Shareable& input, Context& context, const Signal& abort,
                      std::chrono::milliseconds deadline) override {
        auto reply = execute_within(executor_, task, input, context, abort, deadline);
        // Of a program that serves one task only it is known after that.
        const auto facts = executor_.report().facts;
        worker_ = {"0", facts.host, text_of(facts.pid)};
        return reply;
    }
    void finalise() override { executor_.finalise(); }
    [[nodiscard]] std::vector<Worker> workers() const override { return {worker_}; }
    [[nodiscard]] Leftovers leftovers() const override { return {}; }

private:
    static std::shared_ptr<Launcher> launcher_of(const Job& job, OnOutput on_output) {
        auto common = job.program;
        common.on_output = std::move(on_output);
        const auto& group = job.executor.group;
        if (group.launcher != "local" || group.world_size != 1) {
            RankGroupLauncherOptions options{std::move(common), group};
            return std::make_shared<RankGroupLauncher>(std::move(options));
        }
        SubprocessLauncherOptions options;
        static_cast<LaunchedProgramOptions&>(options) = std::move(common);
        options.command = group.program;
        options.environment = group.environment;
        options.directory = group.directory;
        options.grace = group.grace;
        options.log_directory = group.log_directory;
        options.containment = group.containment;
        return std::make_shared<SubprocessLauncher>(std::move(options));
    }

    LauncherExecutor& executor_;
    Worker worker_{"0", {}, {}};
};

class AttachedJob final : public JobExecutor {
public:
    AttachedJob(const Job& job, Engine& engine)
        : executor_(added(engine, std::make_unique<IpcExchanger>(job.agent))), name_(agent_name(job)) {}

    tl::expected<void, Failure> initialise(Context& context, const Signal& /*abort*/) override {
        return executor_.initialise(context);
    }
    Shareable execute(const std::string& task, const Shareable& input, Context& context, const Signal& abort,
                      std::chrono::milliseconds deadline) override {
        auto reply = execute_within(executor_, task, input, context, abort, deadline);
        if (reply.code == ReturnCode::task_timeout && reply.failure) {
            reply.failure->message += "; agent " + name_ +
                                      (has_agent(executor_.report().state)
                                           ? " is there"
                                           : " is not there: start it with rankexec agent run --attach " + name_);
        }
        return reply;
    }
    void finalise() override { executor_.finalise(); }
    [[nodiscard]] std::vector<Worker> workers() const override { return {{name_, {}, {}}}; }
    [[nodiscard]] Leftovers leftovers() const override { return {}; }

private:
    IpcExchanger& executor_;
    const std::string name_;
};

}  // namespace

std::string agent_name(const Job& job) {
    return (job.agent.site.empty() ? std::string(kDefaultSite) : job.agent.site) + "/" + job.agent.agent_id;
}

std::unique_ptr<JobExecutor> make_job_executor(const Job& job, Engine& engine, JobExecutor::OnOutput on_output) {
    switch (job.kind) {
        case ExecutorKind::multi_process: return std::make_unique<GroupJob>(job, engine, std::move(on_output));
        case ExecutorKind::launcher: return std::make_unique<LaunchedJob>(job, engine, std::move(on_output));
        case ExecutorKind::ipc: return std::make_unique<AttachedJob>(job, engine);
    }
    return nullptr;
}

}  // namespace rankexec::cli
