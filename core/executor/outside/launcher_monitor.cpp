// SPDX-License-Identifier: Apache-2.0
// The monitor's thread of a LauncherSession.
#include <algorithm>
#include <utility>

#include "rankexec/core/executor/outside/bounded_call.hpp"
#include "rankexec/core/executor/outside/launcher_session.hpp"
#include "rankexec/core/executor/outside/option_checks.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

using pipe::Clock;

Clock::time_point far_away() { return pipe::deadline_after(std::chrono::milliseconds::max()); }

}  // namespace

void LauncherSession::monitor() {
    Watch watch;
    while (true) {
        const auto seen = room_->changes();
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) return;
        }
        room_->wait(seen, look_after(watch));
    }
}

/// Does what is to be done now, and says when to look again if nothing changes before.
Clock::time_point LauncherSession::look_after(Watch& watch) {
    std::string task;
    {
        std::unique_lock lock(mutex_);
        if (ending_ && !busy_) {
            lock.unlock();
            end_run();
            return far_away();
        }
        if (deferred_) {
            lock.unlock();
            return look_after_deferred(watch);
        }
        if (phase_ != Phase::coming_up && phase_ != Phase::executing) return far_away();
        if (watch.task != task_count_ || watch.phase != phase_) watch = Watch(task_count_, phase_);
        task = task_;
    }
    if (const auto status = look_if_due(watch, task)) judge(watch, *status);
    if (watch.last_result_until && Clock::now() >= *watch.last_result_until) {
        give_up(watch, ReturnCode::execution_exception,
                "the program has ended well, but its result has not come within " +
                    option::in_words(options_.last_result_transfer) + " (last_result_transfer)");
        watch.last_result_until.reset();
    }
    const auto next_look = tells_ ? far_away() : watch.next_look;
    return std::min(next_look, watch.last_result_until.value_or(next_look));
}

std::optional<tl::expected<RunStatus, std::string>> LauncherSession::look_if_due(Watch& watch,
                                                                                 const std::string& task) {
    const auto changes = changes_->load();
    const bool due = !watch.looked || (tells_ ? changes != watch.changes_seen : Clock::now() >= watch.next_look);
    if (!due) return std::nullopt;
    watch.looked = true;
    watch.changes_seen = changes;
    auto status = look(task);
    watch.next_look = pipe::deadline_after(options_.monitor_interval);
    return status;
}

void LauncherSession::judge(Watch& watch, const tl::expected<RunStatus, std::string>& status) {
    const bool connected = watch.phase == Phase::executing;
    const std::string when = connected ? " before its result has come" : " before it has connected (agent::init)";
    const auto code = connected ? ReturnCode::execution_exception : ReturnCode::initialisation_error;
    if (!status) return give_up(watch, ReturnCode::execution_exception, status.error());
    switch (*status) {
        case RunStatus::running: return;
        case RunStatus::failed: return give_up(watch, ReturnCode::execution_exception, "the program has failed" + when);
        case RunStatus::not_running: return give_up(watch, code, "the program is not there any more" + when);
        case RunStatus::success: break;
    }
    if (!connected) return give_up(watch, code, "the program has ended" + when);
    if (watch.last_result_until) return;
    exchange_.pause();
    watch.last_result_until = pipe::deadline_after(options_.last_result_transfer);
}

/// What was seen of one phase of a task means nothing for another.
void LauncherSession::give_up(const Watch& watch, ReturnCode code, const std::string& what) {
    Failure failure;
    failure.code = code;
    failure.message = what;
    const std::lock_guard lock(mutex_);
    if (watch.task == task_count_ && watch.phase == phase_) exchange_.give_up(std::move(failure));
}

// ---- what comes after a task ------------------------------------------------------------------

Clock::time_point LauncherSession::look_after_deferred(Watch& watch) {
    std::string task;
    Clock::time_point until;
    {
        const std::lock_guard lock(mutex_);
        task = deferred_->task;
        until = deferred_->until;
        if (watch.task != deferred_->number || watch.phase != Phase::stopping) {
            watch = Watch(deferred_->number, Phase::stopping);
        }
    }
    const bool over = deferred_aborted_ || Clock::now() >= until;
    const auto status = over ? std::nullopt : look_if_due(watch, task);
    if (!over && (!status || (*status && **status == RunStatus::running))) {
        return tells_ ? until : std::min(until, watch.next_look);
    }
    if (status && !*status) log::warning("a program whose task is over is stopped: " + status->error());
    stop_deferred(deferred_aborted_ ? Launcher::StopReason::given_up : Launcher::StopReason::finished);
    return Clock::now();
}

void LauncherSession::stop_deferred(Launcher::StopReason reason) {
    std::string task;
    {
        const std::lock_guard lock(mutex_);
        if (!deferred_) return;
        task = deferred_->task;
    }
    exchange_.notify_end("the task is done");
    (void)stop_program(task, reason);
    exchange_.end_conversation();
    {
        // Freed outside of the lock: it waits for its callback.
        std::optional<Deferred> over;
        const std::lock_guard lock(mutex_);
        std::swap(over, deferred_);
    }
    room_->notify();
}

void LauncherSession::end_run() {
    stop_deferred(Launcher::StopReason::given_up);
    exchange_.close("the run has ended");
    const auto finalised = bounded_call(
        [launcher = launcher_] {
            launcher->finalise();
            return true;
        },
        options_.stop_timeout);
    if (!finalised) {
        log::error("the launcher has not ended its program: " +
                   (finalised.error().kind == CallError::Kind::threw
                        ? "it threw: " + finalised.error().message
                        : "it has not returned within " + option::in_words(options_.stop_timeout) + " (stop_timeout)"));
    }
    pipe_.reset();
    {
        const std::lock_guard lock(mutex_);
        address_.reset();
        up_ = ending_ = false;
    }
    room_->notify();
}

}  // namespace rankexec
