// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/jobs/site_work.hpp"

#include <filesystem>
#include <utility>

#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/jobs/part_code.hpp"
#include "rankexec/core/cli/resolve_job.hpp"
#include "rankexec/core/component/component_registry.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/plugin.hpp"
#include "rankexec/core/launch/rank_launcher.hpp"
#include "rankexec/core/model/event_type.hpp"

namespace rankexec::cli {
namespace {

constexpr const char* kPartFile = "part.toml";
constexpr const char* kLogId = "rankexec.log";

[[noreturn]] void refuse(const std::string& message) {
    throw ConfigurationError(ConfigurationError::Kind::job_file, message);
}

Job read_part(const job::PartSetup& setup) {
    const auto file = std::filesystem::path(setup.workspace) / setup.folder / kPartFile;
    auto job = read_job(file, launcher_names());
    if (const auto resolved = resolve_job(job); !resolved) refuse(resolved.error().message);
    if (!fits_this_machine(job.executor.group)) refuse(file.string() + ": " + last_complaint());
    if (job.kind != ExecutorKind::ipc) check_program(job.executor.group.program.front(), setup);
    if (!job.plugin.empty()) check_library(job.plugin, setup);
    if (!job.parent_plugin.empty()) check_library(job.parent_plugin, setup);
    return job;
}

}  // namespace

SiteWork::SiteWork(const job::PartSetup& setup)
    : setup_(setup), job_(read_part(setup)), log_(std::make_unique<PartLog>(job_.executor.group.launcher)) {
    ComponentRegistry registry;
    if (!job_.parent_plugin.empty()) load_plugin(job_.parent_plugin, registry);
    engine_.add(kLogId, std::make_unique<MetricLog>(*log_));
    build_components(engine_, registry, job_.parent_components);
    executor_ = make_job_executor(job_, engine_, [this](int rank, wire::OutputStream stream, std::string_view bytes) {
        log_->add(rank, stream, bytes);
    });
    context_ = engine_.new_context();
    context_.set("job", setup_.job, Visibility::public_, Lifetime::sticky);
    context_.set("job_name", setup_.job_name, Visibility::public_, Lifetime::sticky);
    context_.set("site", setup_.participant, Visibility::public_, Lifetime::sticky);
}

SiteWork::~SiteWork() = default;

tl::expected<void, Failure> SiteWork::start(const Signal& abort) {
    if (auto ready = executor_->initialise(context_, abort); !ready) return ready;
    started_ = true;
    engine_.fire_event(std::string(event::kStartRun), context_);
    for (const auto& worker : executor_->workers()) {
        log_->say("ready: " + worker.name + (worker.place.empty() ? "" : " on " + worker.place) +
                  (worker.pid.empty() ? "" : ", pid " + worker.pid));
    }
    return {};
}

tl::expected<void, Failure> SiteWork::initialise(const Signal& abort) { return start(abort); }

Shareable SiteWork::execute(const std::string& task, const Shareable& input, const Signal& abort) {
    if ((down_ || executor_->lost()) && !abort.triggered()) {
        // In an earlier task, which has failed, or since then.
        log_->say("starting again what has ended");
        down_ = true;
        executor_->finalise();
        if (auto ready = start(abort); !ready) return Shareable::failed(std::move(ready.error()));
        down_ = false;
    }
    log_->say("task " + task);
    auto reply = executor_->execute(task, input, context_, abort, job_.workflow.task_deadline);
    if (!reply.ok()) log_->say(reply.failure.value_or(Failure{}).describe());
    return reply;
}

void SiteWork::finalise() {
    if (started_) {
        engine_.fire_event(std::string(event::kAboutToEndRun), context_);
        engine_.fire_event(std::string(event::kEndRun), context_);
    }
    executor_->finalise();
    const auto left = executor_->leftovers();
    if (left.end_failure) log_->say(left.end_failure->describe());
    for (const auto pid : left.surviving_pids) log_->say("process " + std::to_string(pid) + " could not be ended");
}

}  // namespace rankexec::cli
