// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/agent/task_desk.hpp"

#include <algorithm>
#include <utility>

namespace rankexec::agent {
namespace {

constexpr std::size_t kRemembered = 256;

}  // namespace

exchange::TaskAnswer TaskDesk::on_task(exchange::GiveTask&& task) {
    const auto ref = task.ref;
    if (!closed_.empty()) return {ref, false, closed_};
    const bool has = (waiting_ && waiting_->ref == ref) || (open_ && open_->ref == ref);
    if (has) return {ref, true, {}};
    if (is_over(ref)) return {ref, false, "the task is over here"};
    if (waiting_) remember(waiting_->ref);
    waiting_ = std::move(task);
    supersede_open();
    return {ref, true, {}};
}

void TaskDesk::on_abort(const exchange::TaskRef& ref, const std::string& why) {
    if (open_ && open_->ref == ref) {
        open_->displaced = false;
        return abort_open(why);
    }
    // The next one is not held up by a task that nobody has got.
    if (waiting_ && waiting_->ref == ref) waiting_.reset();
    remember(ref);
}

void TaskDesk::on_new_exchanger(const std::string& why) {
    if (waiting_) remember(waiting_->ref);
    waiting_.reset();
    if (open_) open_->displaced = false;
    abort_open(why);
}

std::vector<exchange::HeartbeatAnswer::Held> TaskDesk::holds() const {
    std::vector<exchange::HeartbeatAnswer::Held> held;
    // One that was displaced with a result on its way may have been taken: its end is to be heard.
    const bool unsure = open_ && open_->displaced && open_->sent;
    if (open_ && (open_->over.empty() || unsure) && !open_->delivered) held.push_back({open_->ref, true});
    if (waiting_) held.push_back({waiting_->ref, false});
    return held;
}

void TaskDesk::on_taken(const exchange::TaskRef& ref) {
    if (open_ && open_->ref == ref) {
        open_->delivered = true;
        return;
    }
    if (waiting_ && waiting_->ref == ref) waiting_.reset();
    remember(ref);
}

void TaskDesk::close(const std::string& why) {
    if (!closed_.empty()) return;
    closed_ = why;
    waiting_.reset();
    abort_open(why);
}

exchange::GiveTask TaskDesk::fetch() {
    auto task = std::move(*waiting_);
    waiting_.reset();
    open_.emplace();
    open_->ref = task.ref;
    open_->kind = task.kind;
    return task;
}

void TaskDesk::finish() {
    if (!open_) return;
    remember(open_->ref);
    open_.reset();
}

void TaskDesk::abort_open(const std::string& why) {
    if (!open_ || !open_->over.empty()) return;
    open_->over = why.empty() ? "it was aborted" : why;
    aborts_.emplace_back(open_->abort, open_->over);
}

void TaskDesk::supersede_open() {
    if (!open_ || open_->submitting || open_->delivered || !waiting_ || !open_->over.empty()) return;
    abort_open("another task has come");
    open_->displaced = true;
}

void TaskDesk::set_submitting(bool submitting) {
    if (!open_) return;
    open_->submitting = submitting;
    supersede_open();
}

void TaskDesk::remember(const exchange::TaskRef& ref) {
    if (is_over(ref)) return;
    over_.push_back(ref);
    if (over_.size() > kRemembered) over_.pop_front();
}

bool TaskDesk::is_over(const exchange::TaskRef& ref) const { return std::ranges::find(over_, ref) != over_.end(); }

}  // namespace rankexec::agent
