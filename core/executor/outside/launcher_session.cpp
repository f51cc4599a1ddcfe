// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/launcher_session.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "rankexec/core/executor/outside/bounded_call.hpp"
#include "rankexec/core/executor/outside/option_checks.hpp"
#include "rankexec/core/executor/outside/task_results.hpp"
#include "rankexec/core/model/wiping.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

using pipe::Clock;

/// What helps when threads, descriptors or memory have run out.
constexpr const char* kLimits = "; raise the limits of processes, open files or memory (ulimit -u, -n, -v)";

Failure failure_of(ReturnCode code, std::string message) {
    Failure failure;
    failure.code = code;
    failure.message = std::move(message);
    return failure;
}

Failure run_has_ended() { return failure_of(ReturnCode::task_aborted, "the run has ended"); }

/// Of a result that is not ok.
Failure failure_of_result(const Shareable& result) {
    auto failure = result.failure.value_or(Failure{});
    const auto why = failure.message.empty() ? std::string() : ": " + failure.message;
    failure.message = "the program's result is not ok (" + std::string(to_string(result.code)) + ")" + why;
    failure.code = ReturnCode::execution_exception;
    return failure;
}

std::string what_of(const CallError& error, const std::string& bound) {
    return error.kind == CallError::Kind::threw ? "it threw: " + error.message : "it has not returned within " + bound;
}

}  // namespace

LauncherSession::LauncherSession(std::shared_ptr<Launcher> launcher, LauncherExecutorOptions options,
                                 TaskExchange::OnLog on_log)
    : launcher_(std::move(launcher)),
      options_(std::move(options)),
      tells_(launcher_->on_change([room = room_, changes = changes_] {
          ++*changes;
          room->notify();
      })),
      exchange_(options_.exchange, std::move(on_log)) {}

LauncherSession::~LauncherSession() {
    finalise();
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    room_->notify();
    if (monitor_.joinable()) monitor_.join();
    (void)launcher_->on_change({});
}

// ---- the run ----------------------------------------------------------------------------------

bool LauncherSession::is_up() const {
    const std::lock_guard lock(mutex_);
    return up_;
}

tl::expected<void, Failure> LauncherSession::initialise(const Context& context) {
    {
        const std::lock_guard lock(mutex_);
        if (up_) {
            return tl::unexpected(
                failure_of(ReturnCode::bad_request_data, "the executor is ready already; finalise it first"));
        }
        up_ = true;
        busy_ = true;  // nobody else begins before this is over
    }
    auto ready = [&]() -> tl::expected<void, Failure> {
        try {
            return prepare(context);
        } catch (const std::exception& error) {
            exchange_.close("the executor could not get ready");
            return tl::unexpected(failure_of(ReturnCode::launch_error,
                                             std::string("the executor cannot get ready: ") + error.what() + kLimits));
        }
    }();
    {
        const std::lock_guard lock(mutex_);
        busy_ = false;
        if (!ready) up_ = ending_ = false;
    }
    room_->notify();
    return ready;
}

tl::expected<void, Failure> LauncherSession::prepare(const Context& context) {
    const auto initialised = bounded_call(
        [launcher = launcher_, context = Context(context)]() mutable { return launcher->initialise(context); },
        options_.stop_timeout);
    if (!initialised) {
        return tl::unexpected(failure_of(ReturnCode::launch_error,
                                         "the launcher cannot be initialised: " +
                                             what_of(initialised.error(), option::in_words(options_.stop_timeout))));
    }
    if (!*initialised) return *initialised;
    auto pipe = AgentPipe::make(options_.pipe, launcher_->reaches_other_hosts());
    if (!pipe) return tl::unexpected(std::move(pipe.error()));
    if (auto opened = exchange_.open((*pipe)->pipe()); !opened) return opened;
    auto address = (*pipe)->address();
    if (!address) {
        exchange_.close("the pipe's address cannot be handed over");
        return tl::unexpected(std::move(address.error()));
    }
    const std::lock_guard lock(mutex_);
    pipe_ = std::move(*pipe);
    address_ = std::move(*address);
    if (!monitor_.joinable()) monitor_ = std::thread([this] { monitor(); });
    return {};
}

void LauncherSession::end_exchange() { exchange_.close("the run is about to end"); }

void LauncherSession::finalise() {
    {
        const std::lock_guard lock(mutex_);
        if (!up_) return;
        ending_ = true;
        deferred_aborted_ = true;  // a task may wait for it
    }
    exchange_.give_up(run_has_ended());
    room_->notify();
    // The monitor needs this thread's handler to return before it can end the conversation.
    if (exchange_.in_callback()) return;
    while (true) {
        const auto seen = room_->changes();
        {
            const std::lock_guard lock(mutex_);
            if (!up_) return;
        }
        room_->wait(seen, pipe::deadline_after(Milliseconds::max()));
    }
}

bool LauncherSession::is_ending() const {
    const std::lock_guard lock(mutex_);
    return ending_;
}

// ---- the launcher, which may throw and hang ---------------------------------------------------

/// Whether the launcher has stopped it in time.
bool LauncherSession::stop_program(const std::string& task, Launcher::StopReason reason) {
    const auto stopped = bounded_call(
        [launcher = launcher_, task, reason] {
            launcher->stop_task(task, reason);
            return true;
        },
        options_.stop_timeout);
    if (stopped) return true;
    log::error("the launcher has not stopped the program of task " + task + ": " +
               what_of(stopped.error(), option::in_words(options_.stop_timeout) + " (stop_timeout)"));
    return false;
}

tl::expected<RunStatus, std::string> LauncherSession::look(const std::string& task) {
    const auto status = bounded_call([launcher = launcher_, task] { return launcher->check_run_status(task); },
                                     options_.status_timeout);
    if (status) return *status;
    return tl::unexpected("the launcher does not say how the program is: " +
                          what_of(status.error(), option::in_words(options_.status_timeout) + " (status_timeout)"));
}

ProgramReport LauncherSession::report() const {
    auto report = bounded_call([launcher = launcher_] { return launcher->report(); }, options_.status_timeout);
    return report ? std::move(*report) : ProgramReport{};
}

/// What is not there any more need not be told anything.
bool LauncherSession::may_run(const std::string& task) {
    const auto status = look(task);
    return !status || *status == RunStatus::running;
}

// ---- one task ---------------------------------------------------------------------------------

Shareable LauncherSession::execute(const std::string& task, const Shareable& input, const Context& context,
                                   const Signal& abort) {
    if (auto refused = exchange_.refusal(task, input, abort)) return Shareable::failed(std::move(*refused));
    if (!is_known_task(options_, task)) {
        auto failure =
            failure_of(ReturnCode::task_unknown, "no task of that name is taken; these are: " + known_tasks(options_));
        failure.task = task;
        return Shareable::failed(std::move(failure));
    }
    if (auto refused = take_turn(task)) return Shareable::failed(std::move(*refused));
    end_deferred(abort);
    auto reply = [&] {
        try {
            return execute_in_turn(task, input, context, abort);
        } catch (const std::exception& error) {
            return fail(task, failure_of(ReturnCode::execution_exception,
                                         std::string("the task cannot be exchanged: ") + error.what() + kLimits));
        }
    }();
    give_turn_back();
    return reply;
}

Shareable LauncherSession::execute_in_turn(const std::string& task, const Shareable& input, const Context& context,
                                           const Signal& abort) {
    const bool was_up = exchange_.program_is_up();
    // It has ended the exchange, and takes no task any more.
    if (exchange_.program_has_left()) (void)stop_program(task, Launcher::StopReason::given_up);
    if (!exchange_.begin_task(task, context, true)) return Shareable::failed(exchange_.cannot_begin(task));
    // The end of the run, before there was a task to give up.
    if (is_ending()) exchange_.give_up(run_has_ended());
    auto result = [&]() -> tl::expected<Shareable, Failure> {
        const auto subscription =
            abort.on_trigger([this](const std::string& reason) { exchange_.give_up(TaskExchange::aborted(reason)); });
        return run(task, input, context, was_up);
    }();
    if (!result) return fail(task, std::move(result.error()));
    exchange_.end_task();
    conclude(task, abort);
    return std::move(*result);
}

std::optional<Failure> LauncherSession::take_turn(const std::string& task) {
    const std::lock_guard lock(mutex_);
    Failure failure;
    if (!up_ || ending_) {
        failure = failure_of(ReturnCode::not_ready, "the executor is not ready; initialise it first");
    } else if (busy_) {
        failure = failure_of(ReturnCode::bad_request_data, "another task is being executed; wait for its reply first");
    } else {
        busy_ = true;
        task_ = task;
        ++task_count_;
        return std::nullopt;
    }
    failure.task = task;
    return failure;
}

void LauncherSession::give_turn_back() {
    {
        const std::lock_guard lock(mutex_);
        busy_ = false;
        phase_ = Phase::idle;
    }
    room_->notify();
}

void LauncherSession::set_phase(Phase phase) {
    {
        const std::lock_guard lock(mutex_);
        phase_ = phase;
    }
    room_->notify();
}

tl::expected<Shareable, Failure> LauncherSession::run(const std::string& task, const Shareable& input,
                                                      const Context& context, bool was_up) {
    set_phase(Phase::launching);
    auto launched = launch(task, context);
    if (!launched) return tl::unexpected(std::move(launched.error()));
    if (*launched == Launcher::Launched::running) {
        exchange_.program_was_running(was_up);
    } else {
        exchange_.program_was_started();
    }
    set_phase(Phase::coming_up);
    if (auto up = await_program(); !up) return tl::unexpected(std::move(up.error()));
    set_phase(Phase::executing);
    auto result = exchange_.exchange(input);
    if (!result) return result;
    if (!result->ok()) return tl::unexpected(failure_of_result(*result));
    if (const auto error = result_error(options_, task, *result)) {
        return tl::unexpected(
            failure_of(ReturnCode::execution_exception, "the result of task \"" + task + "\" is bad: " + *error));
    }
    return result;
}

tl::expected<Launcher::Launched, Failure> LauncherSession::launch(const std::string& task, const Context& context) {
    Launcher::Launch launch{task, {}};
    {
        const std::lock_guard lock(mutex_);
        if (address_) launch.agent_address = address_->to_text();
    }
    // Triggered when the task is given up, and when the launch has taken too long. A launcher that hears of it has time
    // to return before nobody waits for it any more.
    const Signal abort;
    const auto given_up = exchange_.given_up().on_trigger([abort](const std::string& why) { abort.trigger(why); });
    auto launched = bounded_call(
        [launcher = launcher_, launch, context = Context(context), abort]() mutable {
            auto outcome = launcher->launch_task(launch, context, abort);
            wipe(launch.agent_address);
            return outcome;
        },
        options_.launch_timeout, abort, options_.status_timeout);
    wipe(launch.agent_address);
    if (auto verdict = exchange_.verdict()) return tl::unexpected(std::move(*verdict));
    if (launched && !abort.triggered()) return std::move(*launched);
    const auto error = launched ? CallError{CallError::Kind::late, {}} : launched.error();
    return tl::unexpected(failure_of(
        ReturnCode::launch_error, "the launcher has not started the program: " +
                                      what_of(error, option::in_words(options_.launch_timeout) + " (launch_timeout)")));
}

tl::expected<void, Failure> LauncherSession::await_program() {
    if (exchange_.wait_for_program(options_.pre_initialise)) return {};
    if (auto verdict = exchange_.verdict()) return tl::unexpected(std::move(*verdict));
    return tl::unexpected(failure_of(
        ReturnCode::initialisation_error,
        "the program runs, but has not connected within " + option::in_words(options_.pre_initialise) +
            " (pre_initialise); it has to call rankexec::agent::init, or to be run by `rankexec agent run`"));
}

/// The result is there: the program ends now, later, or with the run.
void LauncherSession::conclude(const std::string& task, const Signal& abort) {
    if (launcher_->needs_deferred_stop()) {
        if (options_.deferred_stop.count() > 0) return defer_stop(task, abort);
        set_phase(Phase::stopping);
        exchange_.notify_end("the task is done");
    }
    (void)stop_program(task, Launcher::StopReason::finished);
    if (launcher_->needs_deferred_stop()) exchange_.end_conversation();
}

void LauncherSession::defer_stop(const std::string& task, const Signal& abort) {
    deferred_aborted_ = false;
    Deferred deferred;
    deferred.task = task;
    deferred.until = pipe::deadline_after(options_.deferred_stop);
    deferred.on_abort = abort.on_trigger([this](const std::string&) {
        deferred_aborted_ = true;
        room_->notify();
    });
    const std::lock_guard lock(mutex_);
    phase_ = Phase::idle;
    deferred.number = task_count_;
    deferred_ = std::move(deferred);
}

Shareable LauncherSession::fail(const std::string& task, Failure failure) {
    set_phase(Phase::stopping);
    const bool ended_by_program = exchange_.ended_by_program();
    const bool told = !ended_by_program && may_run(task);
    if (told) exchange_.notify_abort(failure.message);
    exchange_.end_conversation();
    const bool stopped = stop_program(task, Launcher::StopReason::given_up);
    const auto report = this->report();
    explain(failure, report, told);
    // Its farewell may overtake the news that it has failed.
    const bool has_failed = report.facts.exit && !report.facts.exit->success() && !report.ended_by_us;
    if (ended_by_program && has_failed) failure.code = ReturnCode::execution_exception;
    if (!stopped) failure.message += "; the launcher has not stopped the program in time";
    failure.task = task;
    exchange_.end_task();
    return Shareable::failed(std::move(failure));
}

/// Which program it was, how it ended, and what it said last.
void LauncherSession::explain(Failure& failure, const ProgramReport& report, bool told) {
    constexpr std::size_t kOutputLines = 8;
    if (report.program.empty()) return;
    const auto& facts = report.facts;
    if (failure.message.find(report.program) == std::string::npos) failure.message += "; program: " + report.program;
    if (facts.exit) {
        failure.message += report.ended_by_us ? ", which we have ended"
                           : told             ? ", which has ended after it was told to"
                                              : ", which ended by itself";
        failure.message += " (" + to_string(*facts.exit) + ")";
    } else if (!facts.message.empty() && failure.message.find(facts.message) == std::string::npos) {
        failure.message += ": " + facts.message;  // who looks after it is gone, or the like
    }
    if (failure.stderr_tail.empty()) failure.stderr_tail = facts.stderr_tail;
    // A launch that failed without one is the launcher's failure, not the program's.
    if (failure.code != ReturnCode::launch_error) failure.rank = facts.rank;
    failure.host = facts.host;
    failure.pid = facts.pid;
    // How it ended says nothing about the cause when it was we who ended it.
    if (!report.ended_by_us) failure.exit = facts.exit;
    failure.out_of_memory = facts.out_of_memory;
    failure.others = facts.others;
    failure.stacks = facts.stacks;
    failure.log_directory = facts.log_directory;
    if (report.output_tail.empty()) return;
    failure.message += "\n  last lines of its standard output:";
    const auto shown = std::min(kOutputLines, report.output_tail.size());
    for (auto line = report.output_tail.end() - static_cast<std::ptrdiff_t>(shown); line != report.output_tail.end();
         ++line) {
        failure.message += "\n    " + *line;
    }
}

/// The program of the task before may still be there; it is stopped under that task's name.
void LauncherSession::end_deferred(const Signal& abort) {
    const auto subscription = abort.on_trigger([this](const std::string&) {
        deferred_aborted_ = true;
        room_->notify();
    });
    while (true) {
        const auto seen = room_->changes();
        {
            const std::lock_guard lock(mutex_);
            if (!deferred_) return;
        }
        room_->wait(seen, pipe::deadline_after(Milliseconds::max()));
    }
}

}  // namespace rankexec
