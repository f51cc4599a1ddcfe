// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/launcher_executor.hpp"

#include <set>
#include <utility>

#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/executor/outside/launcher_session.hpp"
#include "rankexec/core/executor/outside/option_checks.hpp"
#include "rankexec/core/executor/outside/program_events.hpp"
#include "rankexec/core/model/event_type.hpp"
#include "rankexec/ipc/pipe/pipe_message.hpp"

namespace rankexec {
namespace {

const std::string kWhose = "launcher executor";

void check_tasks(const LauncherExecutorOptions& options) {
    std::vector<std::pair<std::string, std::string>> tasks{{"train_task", options.train_task},
                                                           {"validate_task", options.validate_task},
                                                           {"submit_model_task", options.submit_model_task}};
    std::erase_if(tasks, [](const auto& task) { return task.second.empty(); });
    for (const auto& name : options.other_tasks) tasks.emplace_back("other_tasks", name);
    if (tasks.empty()) option::refuse(kWhose, "every name of a task is empty, so that none would be taken");
    std::set<std::string> names;
    for (const auto& [option, name] : tasks) {
        if (const auto error = topic_error(name))
            option::refuse(kWhose, option + " cannot be a task's name: " + *error);
        if (is_reserved_topic(name)) option::refuse(kWhose, option + " is " + name + ", which is reserved");
        if (!names.insert(name).second) option::refuse(kWhose, "two tasks have the name \"" + name + "\"");
    }
}

void check_launcher(const Launcher* launcher, const LauncherExecutorOptions& options) {
    if (launcher == nullptr) option::refuse(kWhose, "there is no launcher");
    if (options.deferred_stop.count() > 0 && !launcher->needs_deferred_stop()) {
        option::refuse(kWhose, "deferred_stop is " + option::in_words(options.deferred_stop) +
                                   ", but the launcher does not stop its program after a task (launch_once is true); "
                                   "set one of the two otherwise");
    }
    if (options.stop_timeout <= launcher->longest_stop()) {
        option::refuse(kWhose,
                       "stop_timeout is " + option::in_words(options.stop_timeout) +
                           ", but the launcher itself may take " + option::in_words(launcher->longest_stop()) +
                           " (shutdown_timeout, grace and clean_up_timeout with what ending takes); raise the one "
                           "above the other");
    }
}

}  // namespace

void LauncherExecutorOptions::validate() const {
    exchange.validate();
    pipe.validate();
    option::not_negative(kWhose, "launch_timeout", launch_timeout);
    option::positive(kWhose, "pre_initialise", pre_initialise);
    option::not_negative(kWhose, "last_result_transfer", last_result_transfer);
    option::not_negative(kWhose, "deferred_stop", deferred_stop);
    option::positive(kWhose, "monitor_interval", monitor_interval);
    option::positive(kWhose, "status_timeout", status_timeout);
    option::positive(kWhose, "stop_timeout", stop_timeout);
    check_tasks(*this);
}

class LauncherExecutor::Impl : public LauncherSession {
public:
    Impl(LauncherExecutor& owner, std::shared_ptr<Launcher> launcher, LauncherExecutorOptions options)
        : LauncherSession(std::move(launcher), std::move(options),
                          [&owner](exchange::ProgramLog&& log, const std::optional<Context>& context) {
                              if (owner.in_engine()) fire_program_event(owner.engine(), std::move(log), context);
                          }) {}
};

LauncherExecutor::LauncherExecutor(std::shared_ptr<Launcher> launcher, LauncherExecutorOptions options) {
    options.validate();
    check_launcher(launcher.get(), options);
    impl_ = std::make_unique<Impl>(*this, std::move(launcher), std::move(options));
}

LauncherExecutor::~LauncherExecutor() = default;

tl::expected<void, Failure> LauncherExecutor::initialise(Context& context) { return impl_->initialise(context); }
void LauncherExecutor::finalise() { impl_->finalise(); }
void LauncherExecutor::quiesce() { finalise(); }
ProgramReport LauncherExecutor::report() const { return impl_->report(); }

void LauncherExecutor::handle_event(const std::string& type, Context& context) {
    if (type == event::kStartRun) {
        if (impl_->is_up()) return;
        if (const auto ready = initialise(context); !ready) {
            report_panic(in_engine() ? &engine() : nullptr, ready.error(), context);
        }
    } else if (type == event::kAboutToEndRun) {
        impl_->end_exchange();
    } else if (type == event::kEndRun) {
        finalise();
    }
}

Shareable LauncherExecutor::execute(const std::string& task, const Shareable& input, Context& context,
                                    const Signal& abort) {
    return impl_->execute(task, input, context, abort);
}

}  // namespace rankexec
