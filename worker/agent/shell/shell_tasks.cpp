// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/agent/shell/shell_tasks.hpp"

#include <algorithm>
#include <cstdint>

#include "rankexec/worker/agent/shell/shell_message.hpp"

namespace rankexec::agent::shell {
namespace {

/// Who waits without a time-out asks again after this; nobody notices.
constexpr Milliseconds kLongestWait{3'600'000};
constexpr Milliseconds kLongestTimeout = std::chrono::hours(24 * 365);

Shareable refused(const std::string& message) { return outcome_of(outcome::kError, message); }

Shareable outcome_of_error(const AgentError& error) {
    return outcome_of(error.kind == AgentError::Kind::closed ? outcome::kClosed : outcome::kError, error.message);
}

Shareable outcome_of_call(const tl::expected<void, AgentError>& done) {
    return done ? outcome_of(outcome::kOk) : outcome_of_error(done.error());
}

std::optional<int> number_in(const Shareable& content, std::string_view header) {
    const auto* value = content.header(header);
    if (value == nullptr || value->if_integer() == nullptr) return std::nullopt;
    return static_cast<int>(*value->if_integer());
}

std::string text_in(const Shareable& content, std::string_view header) {
    const auto* value = content.header(header);
    return value == nullptr ? std::string() : value->text_or("");
}

}  // namespace

Shareable content_of(const Task& task) {
    Shareable content = task.input;
    content.headers = {
        {kOutcomeHeader, outcome::kTask}, {"name", task.name}, {"id", task.id}, {"headers", task.input.headers}};
    if (task.round) content.headers["round"] = *task.round;
    if (task.rounds) content.headers["rounds"] = *task.rounds;
    return content;
}

Task task_of(Shareable content) {
    Task task;
    task.name = text_in(content, "name");
    task.id = text_in(content, "id");
    task.round = number_in(content, "round");
    task.rounds = number_in(content, "rounds");
    const auto* headers = content.header("headers");
    Value::Map own;
    if (headers != nullptr && headers->if_map() != nullptr) own = *headers->if_map();
    task.input = std::move(content);
    task.input.headers = std::move(own);
    return task;
}

// ---- tasks ------------------------------------------------------------------------------------

void ShellTasks::get_task(Caller caller, std::optional<Milliseconds> timeout, Answer answer) {
    if (!agent_.is_running()) return answer(outcome_of(outcome::kClosed, agent_.closed().reason()));
    if (task_ && taken_) {
        return answer(refused("the task " + task_->name +
                              " is open; submit its result first (rankexec agent "
                              "submit-result)"));
    }
    if (waiting_.contains(caller)) return answer(refused("this caller waits for a task already"));
    auto& waiting = waiting_[caller];
    waiting.answer = std::move(answer);
    if (timeout) {
        waiting.deadline = EventLoop::Clock::now() + std::clamp(*timeout, Milliseconds(0), kLongestTimeout);
        waiting.timer = loop_.call_at(*waiting.deadline, [this, caller] {
            take_waiting(waiting_.find(caller)).answer(outcome_of(outcome::kNothing));
        });
    }
    offer();
    fetch();
}

ShellTasks::Waiting ShellTasks::take_waiting(std::map<Caller, Waiting>::iterator waiting) {
    auto taken = std::move(waiting->second);
    if (taken.timer) loop_.cancel(*taken.timer);
    waiting_.erase(waiting);
    return taken;
}

Milliseconds ShellTasks::longest_wait() const {
    Milliseconds longest{1};
    const auto now = EventLoop::Clock::now();
    for (const auto& [caller, waiting] : waiting_) {
        if (!waiting.deadline) return kLongestWait;
        longest = std::max(longest, std::chrono::ceil<Milliseconds>(*waiting.deadline - now));
    }
    return std::min(longest, kLongestWait);
}

/// Only while somebody waits, so that no task is taken from the agent that nobody has asked for: the fetcher's thread
/// waits for one, and takes none, because whoever has asked may be gone by then.
void ShellTasks::fetch() {
    while (!task_ && !waiting_.empty() && agent_.wait_for_task(Milliseconds(0))) {
        if (!agent_.is_running()) return answer_all(outcome_of(outcome::kClosed, agent_.closed().reason()));
        auto fetched = agent_.get_task(Milliseconds(1));
        if (!fetched) return answer_all(outcome_of_error(fetched.error()));
        if (!*fetched) break;  // it was taken back
        task_ = std::move(**fetched);
        offer();
    }
    if (fetching_ || task_ || waiting_.empty()) return;
    fetching_ = true;
    fetcher_.post([this, timeout = longest_wait()] {
        (void)agent_.wait_for_task(timeout);
        loop_.post([this] {
            fetching_ = false;
            fetch();
        });
    });
}

void ShellTasks::answer_all(const Shareable& content) {
    while (!waiting_.empty()) take_waiting(waiting_.begin()).answer(content);
}

void ShellTasks::offer() {
    if (!task_ || taken_ || on_its_way_to_ || submitting_) return;
    if (task_->abort.triggered()) return dismiss();
    if (waiting_.empty()) return;
    on_its_way_to_ = waiting_.begin()->first;
    const auto next = take_waiting(waiting_.begin());
    next.answer(content_of(*task_));
}

/// Nobody wants the task any more, and nobody has it. When the agent goes on, there may be another one.
void ShellTasks::dismiss() {
    submitting_ = true;
    teller_.post([this] {
        auto aborted = Shareable::failed(ReturnCode::task_aborted, "aborted before the program fetched it");
        (void)agent_.submit_result(std::move(aborted));
        loop_.post([this] {
            submitting_ = false;
            task_.reset();
            fetch();
        });
    });
}

bool ShellTasks::taken(Caller caller) {
    if (on_its_way_to_ != caller) return false;
    on_its_way_to_.reset();
    taken_ = true;
    return true;
}

void ShellTasks::gone(Caller caller) {
    if (const auto waiting = waiting_.find(caller); waiting != waiting_.end()) (void)take_waiting(waiting);
    if (on_its_way_to_ != caller) return;
    on_its_way_to_.reset();
    offer();
}

// ---- results and logs -------------------------------------------------------------------------

void ShellTasks::submit(Shareable result, Answer answer) {
    if (submitting_) return answer(refused("the result of this task is being submitted already"));
    if (task_ && !taken_)
        return answer(refused("there is a task, but nobody has fetched it (rankexec agent get-task)"));
    submitting_ = true;
    // Without one it is the result of a program that was restarted, and the next task may come before its answer.
    const bool of_task = task_.has_value();
    teller_.post([this, of_task, result = std::move(result), answer = std::move(answer)]() mutable {
        auto done = agent_.submit_result(std::move(result));
        loop_.post([this, of_task, done = std::move(done), answer = std::move(answer)] {
            submitting_ = false;
            if (of_task && (done || done.error().kind == AgentError::Kind::refused)) {
                task_.reset();
                taken_ = false;
            }
            answer(outcome_of_call(done));
            offer();
            fetch();
        });
    });
}

void ShellTasks::log(Value::Map figures, std::string type, Answer answer) {
    teller_.post([this, figures = std::move(figures), type = std::move(type), answer = std::move(answer)] {
        loop_.post([done = agent_.log(figures, type), answer] { answer(outcome_of_call(done)); });
    });
}

void ShellTasks::stop() {
    fetcher_.stop();
    teller_.stop();
}

}  // namespace rankexec::agent::shell
