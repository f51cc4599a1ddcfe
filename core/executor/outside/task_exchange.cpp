// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/task_exchange.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "rankexec/core/executor/outside/option_checks.hpp"
#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

/// The exchange whose log the calling thread is handing out.
thread_local const void* handing_out = nullptr;

/// Of conversations that end before the program that is awaited was heard: an earlier one's last words come once.
constexpr int kLateEnds = 3;

/// Programs that may still have something on its way. One is there at a time, and what it has said last comes soon.
constexpr std::size_t kEarlierPrograms = 16;

std::string in_quotes(const std::string& name) { return "\"" + printable(name, kTopicBytes) + "\""; }

Failure task_failure(ReturnCode code, std::string what) {
    Failure failure;
    failure.code = code;
    failure.message = std::move(what);
    return failure;
}

}  // namespace

TaskExchange::TaskExchange(TaskExchangeOptions options, OnLog on_log) : options_(options), on_log_(std::move(on_log)) {
    options_.validate();
}

TaskExchange::~TaskExchange() {
    close("the executor is destroyed");
    clear_retired();
}

Failure TaskExchange::aborted(const std::string& reason) {
    return task_failure(ReturnCode::task_aborted, reason.empty() ? "aborted" : reason);
}

std::optional<Failure> TaskExchange::refusal(const std::string& task, const Shareable& input,
                                             const Signal& abort) const {
    const auto refused = [&](ReturnCode code, std::string what) {
        auto failure = task_failure(code, std::move(what));
        failure.task = task;
        return failure;
    };
    if (in_callback()) {
        return refused(ReturnCode::bad_request_data,
                       "execute was called by a handler of what the program has logged, for which the program's "
                       "messages wait; call it elsewhere");
    }
    if (auto error = topic_error(task)) return refused(ReturnCode::bad_task_data, "the task has no name: " + *error);
    if (is_reserved_topic(task)) {
        return refused(ReturnCode::bad_task_data, "the task's name " + task + " is reserved for the pipe itself");
    }
    if (!input.ok()) {
        return refused(ReturnCode::bad_task_data, "the input is a reply that failed (" +
                                                      std::string(to_string(input.code)) + "); set its code to ok");
    }
    if (abort.triggered()) return refused(ReturnCode::task_aborted, aborted(abort.reason()).message);
    return std::nullopt;
}

Failure TaskExchange::cannot_begin(const std::string& task) const {
    auto failure = is_open() ? task_failure(ReturnCode::bad_request_data,
                                            "another task is being executed; wait for its reply first")
                             : task_failure(ReturnCode::not_ready, "no pipe is open; initialise first");
    failure.task = task;
    return failure;
}

// ---- the pipe and its conversations -----------------------------------------------------------

tl::expected<void, Failure> TaskExchange::open(std::shared_ptr<Pipe> pipe) {
    if (auto opened = pipe->open(options_.open_timeout); !opened) return opened;
    const std::lock_guard lock(mutex_);
    pipe_ = std::move(pipe);
    return {};
}

bool TaskExchange::is_open() const {
    const std::lock_guard lock(mutex_);
    return pipe_ != nullptr;
}

bool TaskExchange::in_callback() const { return handing_out == this; }

void TaskExchange::close(const std::string& reason) {
    Failure failure;
    failure.code = ReturnCode::task_aborted;
    failure.message = reason;
    give_up(std::move(failure));
    notify_end(reason);
    std::unique_lock lock(mutex_);
    const auto pipe = std::exchange(pipe_, nullptr);
    retire(lock);
    if (pipe) pipe->close();
    room_.notify();
}

/// Ends the conversation, if there is one. Unlocks.
void TaskExchange::retire(std::unique_lock<std::mutex>& lock) {
    ++conversation_;
    program_up_ = program_left_ = false;
    if (handler_) retired_.push_back(std::exchange(handler_, nullptr));
    lock.unlock();
    clear_retired();
}

void TaskExchange::clear_retired() {
    std::vector<std::shared_ptr<PipeHandler>> retired;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& handler : retired_) retired.push_back(handler);
        if (!in_callback()) retired_.clear();
    }
    for (const auto& handler : retired) handler->stop(false);
}

bool TaskExchange::start_conversation(bool judged) {
    std::unique_lock lock(mutex_);
    const auto pipe = pipe_;
    retire(lock);
    if (!pipe) return false;
    pipe->clear();
    auto handler = std::make_shared<PipeHandler>(pipe, options_.handler_options());
    lock.lock();
    if (pipe_ != pipe) return false;
    const auto number = ++conversation_;
    handler->on_status([this, number](PipeMessage&& message) { on_status(number, message); });
    handler->on_message([this, number](PipeMessage&& message) { on_message(number, std::move(message)); });
    handler->on_bad([this, number](const std::string& what) { on_bad(number, what); });
    handler->on_arrival([this, number](const PipeMessage& message) { return on_arrival(number, message); });
    handler_ = handler;
    lock.unlock();
    handler->start();
    if (!judged) handler->pause();
    return true;
}

std::shared_ptr<PipeHandler> TaskExchange::handler() const {
    const std::lock_guard lock(mutex_);
    return handler_;
}

std::shared_ptr<PipeHandler> TaskExchange::handler_of_program() const {
    const std::lock_guard lock(mutex_);
    return program_up_ && !program_left_ ? handler_ : nullptr;
}

void TaskExchange::notify_end(const std::string& reason) {
    if (const auto current = handler_of_program()) current->notify_end(reason);
}

void TaskExchange::notify_abort(const std::string& reason) {
    if (const auto current = handler_of_program()) current->notify_abort(reason);
}

void TaskExchange::end_conversation() {
    std::unique_lock lock(mutex_);
    retire(lock);
}

void TaskExchange::pause() {
    if (const auto current = handler()) current->pause();
}

// ---- what the program says, on the conversation's threads -------------------------------------

void TaskExchange::on_status(std::uint64_t conversation, const PipeMessage& message) {
    {
        const std::lock_guard lock(mutex_);
        if (conversation != conversation_) return;
        const bool early = task_ && task_->awaits_program && !program_up_;
        program_left_ = !early;
        if (!task_) return;
        if (early) {
            task_->lost_early = true;
        } else {
            task_->ended_by_program = !task_->verdict;
            const auto reason = message.reason();
            const std::string why = message.topic == kPeerGoneTopic ? "the program is gone"
                                    : message.topic == kEndTopic    ? "the program has ended the exchange"
                                                                    : "the program has aborted the exchange";
            give_up_locked(task_failure(
                ReturnCode::task_aborted,
                why + (reason.empty() ? "" : " (" + reason + ")") +
                    (task_->request_id.empty() ? ", before it had taken the task" : ", without a result")));
        }
    }
    room_.notify();
}

/// Whether it comes from the program that this conversation is with, as far as that can be known yet.
bool TaskExchange::on_arrival(std::uint64_t conversation, const PipeMessage& message) {
    {
        const std::lock_guard lock(mutex_);
        if (conversation != conversation_) return true;
        const bool awaits = task_ && task_->awaits_program && task_->launched != OpenTask::Launched::running;
        const bool earlier = awaits && std::ranges::find(earlier_, message.session) != earlier_.end();
        if (earlier && task_->launched == OpenTask::Launched::started) return false;
        if (message.is_status()) return true;
        session_ = message.session;
        if (earlier) task_->earlier_was_heard = true;
        if (earlier || std::exchange(program_up_, true)) return true;
    }
    room_.notify();
    return true;
}

void TaskExchange::on_bad(std::uint64_t conversation, const std::string& what) {
    {
        const std::lock_guard lock(mutex_);
        if (conversation != conversation_ || !task_ || task_->request_id.empty()) return;
        give_up_locked(task_failure(ReturnCode::execution_exception,
                                    "what the program has sent, perhaps its result, is no message: " + what));
    }
    room_.notify();
}

void TaskExchange::on_message(std::uint64_t conversation, PipeMessage&& message) {
    {
        const std::lock_guard lock(mutex_);
        if (conversation != conversation_) return;
    }
    if (message.kind == PipeMessage::Kind::request && message.topic == exchange::kLogTopic) return take_log(message);
    {
        const std::lock_guard lock(mutex_);
        const bool is_result = conversation == conversation_ && task_ && !task_->result &&
                               message.kind == PipeMessage::Kind::reply && message.topic == task_->name &&
                               message.request_id == task_->request_id;
        if (!is_result) {
            log::debug("a message of the program on topic " + message.topic +
                       " answers no task that is open; it is ignored");
            return;
        }
        task_->result = std::move(message.content);
    }
    room_.notify();
}

void TaskExchange::take_log(const PipeMessage& message) {
    auto logged = exchange::ProgramLog::from_message(message);
    if (!logged) return log::warning("what the program has logged is ignored: " + logged.error());
    std::optional<Context> context;
    {
        const std::lock_guard lock(mutex_);
        if (task_) context = task_->context;
    }
    const auto* former = std::exchange(handing_out, this);
    try {
        on_log_(std::move(*logged), context);
    } catch (const std::exception& error) {
        log::error(std::string("what the program has logged was not handled: ") + error.what());
    }
    handing_out = former;
}

// ---- one task ---------------------------------------------------------------------------------

bool TaskExchange::begin_task(const std::string& name, const Context& context, bool awaits_program) {
    {
        const std::lock_guard lock(mutex_);
        if (task_ || !pipe_) return false;
        ++conversation_;  // what is still being read was said before this task
        task_.emplace();
        task_->name = name;
        task_->context = context;
        task_->awaits_program = awaits_program;
        if (!session_.empty() && (earlier_.empty() || earlier_.back() != session_)) {
            earlier_.push_back(session_);
            if (earlier_.size() > kEarlierPrograms) earlier_.pop_front();
        }
    }
    if (start_conversation(!awaits_program)) return true;
    end_task();
    return false;
}

void TaskExchange::end_task() {
    const std::lock_guard lock(mutex_);
    task_.reset();
}

void TaskExchange::give_up(Failure failure) {
    {
        const std::lock_guard lock(mutex_);
        if (!task_) return;
        give_up_locked(std::move(failure));
    }
    room_.notify();
}

/// Whoever waits for the signal takes no lock of ours in its callback.
void TaskExchange::give_up_locked(Failure failure) {
    if (task_->verdict || task_->result) return;
    failure.task = task_->name;
    task_->verdict = std::move(failure);
    task_->given_up.trigger(task_->verdict->message);
}

std::optional<Failure> TaskExchange::verdict() const {
    const std::lock_guard lock(mutex_);
    return task_ ? task_->verdict : std::nullopt;
}

Signal TaskExchange::given_up() const {
    const std::lock_guard lock(mutex_);
    return task_ ? task_->given_up : Signal();
}

bool TaskExchange::program_is_up() const {
    const std::lock_guard lock(mutex_);
    return program_up_;
}

void TaskExchange::program_was_started() {
    const std::lock_guard lock(mutex_);
    if (task_) task_->launched = OpenTask::Launched::started;
}

void TaskExchange::program_was_running(bool was_up) {
    {
        const std::lock_guard lock(mutex_);
        if (!task_) return;
        task_->launched = OpenTask::Launched::running;
        if (was_up || task_->earlier_was_heard) program_up_ = true;
    }
    room_.notify();
}

void TaskExchange::set_program_up() {
    {
        const std::lock_guard lock(mutex_);
        program_up_ = true;
    }
    room_.notify();
}

bool TaskExchange::program_has_left() const {
    const std::lock_guard lock(mutex_);
    return program_left_;
}

bool TaskExchange::ended_by_program() const {
    const std::lock_guard lock(mutex_);
    return task_ && task_->ended_by_program;
}

bool TaskExchange::wait_for_program(Milliseconds timeout) {
    const auto deadline = pipe::deadline_after(timeout);
    int late_ends = 0;
    while (true) {
        const auto seen = room_.changes();
        bool again = false;
        {
            const std::lock_guard lock(mutex_);
            if (!task_ || task_->verdict) return false;
            if (program_up_) break;
            again = std::exchange(task_->lost_early, false);
        }
        // An earlier program's last words, or a pipe that is broken for good.
        if (again && (late_ends++ == kLateEnds || !start_conversation(false))) {
            give_up(task_failure(ReturnCode::task_aborted, "the pipe to the program is broken"));
            return false;
        }
        if (pipe::Clock::now() >= deadline) return false;
        if (!again) room_.wait(seen, deadline);
    }
    if (const auto current = handler()) current->resume();
    return true;
}

Failure TaskExchange::failure_of(const PipeError& error) const {
    switch (error.kind) {
        case PipeError::Kind::bad_message:
            return task_failure(ReturnCode::bad_task_data, "the input cannot be sent: " + error.message);
        case PipeError::Kind::not_sent:
            return task_failure(ReturnCode::execution_exception, "the task cannot be sent: " + error.message);
        case PipeError::Kind::not_taken:
            return task_failure(ReturnCode::execution_exception, "the program has not taken the task within " +
                                                                     option::in_words(options_.task_taken_within) +
                                                                     " (task_taken_within): " + error.message);
        case PipeError::Kind::broken:
        case PipeError::Kind::closed:
            return task_failure(ReturnCode::task_aborted,
                                "the program is gone (" + error.message + "), before it had taken the task");
        case PipeError::Kind::cancelled: break;
    }
    return task_failure(ReturnCode::task_aborted, "the task was given up: " + error.message);
}

std::optional<Shareable> TaskExchange::take_result() {
    const std::lock_guard lock(mutex_);
    if (!task_ || !task_->result) return std::nullopt;
    return task_->result;
}

tl::expected<Shareable, Failure> TaskExchange::exchange(const Shareable& input) {
    std::string name;
    Signal given_up;
    std::shared_ptr<PipeHandler> current;
    std::shared_ptr<Pipe> pipe;
    PipeMessage request;
    {
        const std::lock_guard lock(mutex_);
        if (!task_ || !handler_ || !pipe_) {
            return tl::unexpected(task_ && task_->verdict ? *task_->verdict
                                                          : task_failure(ReturnCode::not_ready, "no pipe is open"));
        }
        name = task_->name;
        given_up = task_->given_up;
        current = handler_;
        pipe = pipe_;
        request = PipeMessage::request(name, input);
        task_->request_id = request.id;
    }
    const auto fail = [&](Failure failure) {
        failure.task = name;
        return tl::unexpected(std::move(failure));
    };
    const auto attempt = pipe->can_resend() ? options_.attempt() : options_.task_taken_within;
    const auto sent = current->send(request, attempt, given_up);
    if (sent) set_program_up();
    const auto deadline =
        pipe::deadline_after(options_.task_timeout.count() == 0 ? Milliseconds::max() : options_.task_timeout);
    while (true) {
        const auto seen = room_.changes();
        if (auto result = take_result()) return std::move(*result);
        if (auto given = verdict()) return fail(std::move(*given));
        // The verdict of a broken pipe may still be on its way.
        if (!sent) return fail(failure_of(sent.error()));
        if (pipe::Clock::now() >= deadline) {
            return fail(task_failure(ReturnCode::execution_exception,
                                     "no result of task " + in_quotes(name) + " has come within " +
                                         option::in_words(options_.task_timeout) + " (task_timeout)"));
        }
        room_.wait(seen, deadline);
    }
}

}  // namespace rankexec
