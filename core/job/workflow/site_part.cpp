// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/site_part.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "rankexec/core/job/model/part_setup.hpp"
#include "rankexec/core/job/workflow/part_topics.hpp"

namespace rankexec::job {
namespace {

constexpr std::chrono::seconds kReadyTime{30};

std::string text_header(const Shareable& content, const char* name) {
    const auto* value = content.header(name);
    return value == nullptr ? std::string() : value->text_or("");
}

Shareable refusal(std::string why) { return Shareable::failed(ReturnCode::bad_request_data, std::move(why)); }

Shareable aborted(const std::string& reason) { return Shareable::failed(ReturnCode::task_aborted, reason); }

/// What a failed start means for the part.
PartOutcome outcome_of_start(const Failure& failure) {
    if (failure.code == ReturnCode::launch_error) return PartOutcome::launch_failed;
    return failure.code == ReturnCode::task_aborted ? PartOutcome::aborted : PartOutcome::exception;
}

}  // namespace

PartWork::~PartWork() = default;

SitePart::SitePart(hub::HubEnd& hub, Options options)
    : hub_(hub),
      options_(std::move(options)),
      controller_part_(peer_of_part(options_.job, kControllerParticipant)),
      alone_since_(Clock::now()) {
    take_topics();
}

SitePart::~SitePart() = default;

// ---- what it is told --------------------------------------------------------------------------------

void SitePart::take_topics() {
    hub_.handle(topic::kTask,
                [this](hub::Request&& request, const hub::Answer& answer) { take_task(std::move(request), answer); });
    hub_.handle(topic::kAbortTask, [this](hub::Request&& request, const hub::Answer& answer) {
        if (request.from != controller_part_) return answer(refusal("only the controller part gives tasks up"));
        give_up(text_header(request.content, "id"), text_header(request.content, "reason"));
        answer({});
    });
    hub_.handle(topic::kPartState, [this](hub::Request&&, const hub::Answer& answer) {
        Shareable state;
        const std::lock_guard lock(mutex_);
        state.headers = {{"ready", ready_ && !end_}};
        answer(std::move(state));
    });
    hub_.handle(topic::kEndPart, [this](hub::Request&& request, const hub::Answer& answer) {
        if (request.from != controller_part_) return answer(refusal("only the controller part ends the run"));
        const auto* abort = request.content.header("aborted");
        const bool as_aborted = abort != nullptr && abort->boolean_or(false);
        answer({});
        end_as(as_aborted ? PartOutcome::aborted : PartOutcome::success, text_header(request.content, "reason"));
    });
    hub_.handle(topic::kAbortRun, [this](hub::Request&& request, const hub::Answer& answer) {
        if (request.from != hub::kHubName) return answer(refusal("only the controller aborts a run"));
        answer({});
        abort(text_header(request.content, "reason"));
    });
}

void SitePart::take_task(hub::Request&& request, const hub::Answer& answer) {
    if (request.from != controller_part_) return answer(refusal("only the controller part gives tasks"));
    auto message = TaskMessage::unpack(std::move(request.content));
    if (!message) return answer(refusal(message.error()));
    const std::lock_guard lock(mutex_);
    if (end_) return answer(aborted("site " + options_.participant + " is ending its part"));
    if (message->stamp > latest_) {
        latest_ = message->stamp;
        open_ = {message->open.begin(), message->open.end()};
        keep_only(message->open);
        std::erase_if(finished_, [&](const Done& done) { return done.number <= message->covered; });
    }
    const auto& id = message->id;
    if (const auto done = std::ranges::find(finished_, id, &Done::id); done != finished_.end()) {
        return answer(done->reply);
    }
    if (executing_ != nullptr && executing_->message.id == id) {
        executing_->answers.push_back(answer);
        return;
    }
    const auto queued = std::ranges::find_if(queue_, [&](const Job& job) { return job.message.id == id; });
    if (queued != queue_.end()) {
        queued->answers.push_back(answer);
        return;
    }
    // It was overtaken by a later message that no longer wants it.
    if (!open_.contains(id)) return answer(aborted("the task was given up"));
    queue_.push_back({std::move(*message), {answer}, {}});
    changed_.notify_all();
}

void SitePart::keep_only(const std::vector<std::string>& open) {
    const auto wanted = [&](const std::string& id) { return std::ranges::find(open, id) != open.end(); };
    std::erase_if(queue_, [&](const Job& job) {
        if (wanted(job.message.id)) return false;
        for (const auto& answer : job.answers) answer(aborted("the task was given up"));
        return true;
    });
    if (executing_ != nullptr && !wanted(executing_->message.id)) executing_->abort.trigger("the task was given up");
}

void SitePart::give_up(const std::string& id, const std::string& reason) {
    const std::lock_guard lock(mutex_);
    open_.erase(id);
    std::erase_if(finished_, [&](const Done& done) { return done.id == id; });
    std::erase_if(queue_, [&](const Job& job) {
        if (job.message.id != id) return false;
        for (const auto& answer : job.answers) answer(aborted(reason));
        return true;
    });
    if (executing_ != nullptr && executing_->message.id == id) executing_->abort.trigger(reason);
}

void SitePart::abort(const std::string& reason) { end_as(PartOutcome::aborted, reason); }

void SitePart::end_as(PartOutcome outcome, const std::string& reason, std::optional<Failure> failure) {
    {
        const std::lock_guard lock(mutex_);
        if (end_) return;
        if (!failure && outcome != PartOutcome::success) {
            failure.emplace();
            failure->code = ReturnCode::task_aborted;
            failure->message = reason;
        }
        end_ = End{outcome, std::move(failure), 0};
        refuse_queued(reason);
        if (executing_ != nullptr) executing_->abort.trigger(reason);
        changed_.notify_all();
    }
    abort_.trigger(reason);
}

void SitePart::refuse_queued(const std::string& reason) {
    for (const auto& job : queue_) {
        for (const auto& answer : job.answers) answer(aborted(reason));
    }
    queue_.clear();
}

// ---- who is there -----------------------------------------------------------------------------------

void SitePart::on_connected() {
    const std::lock_guard lock(mutex_);
    alone_since_.reset();
    changed_.notify_all();
    if (ready_ && !end_) say_ready();
}

void SitePart::on_lost(const std::string& why) {
    const std::lock_guard lock(mutex_);
    alone_since_ = Clock::now();
    why_alone_ = why;
    changed_.notify_all();
}

void SitePart::say_ready() {
    say_ready_to(controller_part_);
    say_ready_to(hub::kHubName);
}

void SitePart::say_ready_to(const std::string& peer) {
    Shareable content;
    content.headers = {{"incarnation", options_.incarnation}};
    hub_.request(peer, topic::kPartReady, std::move(content), kReadyTime, [this, peer](hub::Reply&& reply) {
        // A controller part that is not there asks when it comes.
        if (reply || reply.error().code != ReturnCode::task_timeout) return;
        const std::lock_guard lock(mutex_);
        if (!end_) say_ready_to(peer);
    });
}

// ---- the work ---------------------------------------------------------------------------------------

SitePart::End SitePart::run(PartWork& work) {
    std::thread worker([&] { work_on(work); });
    {
        Lock lock(mutex_);
        while (!worked_ && !end_) {
            if (!alone_since_) {
                changed_.wait(lock);
                continue;
            }
            const auto until = *alone_since_ + options_.controller_gone_after;
            if (Clock::now() < until) {
                changed_.wait_until(lock, until);
                continue;
            }
            const auto reason = "the controller has not been there for " +
                                std::to_string(options_.controller_gone_after.count()) + " ms: " + why_alone_;
            lock.unlock();
            end_as(PartOutcome::controller_gone, reason);
            lock.lock();
        }
    }
    worker.join();
    const std::lock_guard lock(mutex_);
    end_->tasks = tasks_;
    return *end_;
}

void SitePart::work_on(PartWork& work) {
    auto ready = work.initialise(abort_);
    if (!ready) {
        const auto outcome = outcome_of_start(ready.error());
        const auto reason = ready.error().headline();
        end_as(outcome, reason, std::move(ready.error()));
    } else {
        Lock lock(mutex_);
        ready_ = true;
        if (!alone_since_ && !end_) say_ready();
        while (!end_) execute_next(work, lock);
    }
    work.finalise();
    const std::lock_guard lock(mutex_);
    worked_ = true;
    changed_.notify_all();
}

void SitePart::execute_next(PartWork& work, Lock& lock) {
    changed_.wait(lock, [&] { return end_ || !queue_.empty(); });
    if (end_) return;
    auto job = std::move(queue_.front());
    queue_.pop_front();
    executing_ = &job;
    lock.unlock();
    auto reply = work.execute(job.message.task, job.message.input, job.abort);
    lock.lock();
    executing_ = nullptr;
    ++tasks_;
    // Nobody asks again for what was given up.
    if (open_.contains(job.message.id)) remember(job.message, reply);
    for (const auto& answer : job.answers) answer(reply);
}

void SitePart::remember(const TaskMessage& message, const Shareable& reply) {
    finished_.push_back({message.id, message.number, reply});
    const auto bytes = [this] {
        std::size_t sum = 0;
        for (const auto& done : finished_) {
            for (const auto& [name, tensor] : done.reply.tensors) sum += tensor.bytes().size();
        }
        return sum;
    };
    while (finished_.size() > 1 && (finished_.size() > kMostKept || bytes() > kMostBytesKept)) finished_.pop_front();
}

}  // namespace rankexec::job
