// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/agent/launched_agent.hpp"

#include <limits>
#include <utility>

#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/ipc/exchange/exchange_messages.hpp"
#include "rankexec/ipc/exchange/program_log.hpp"

namespace rankexec::agent {
namespace {

using Kind = AgentError::Kind;

constexpr std::size_t kLongestReason = 1'000;

tl::unexpected<AgentError> error(Kind kind, std::string message) {
    return tl::unexpected(AgentError{kind, "agent: " + std::move(message)});
}

/// Why there is nothing to do any more, by the last that was heard.
std::string why_closed(const PipeMessage& status) {
    const auto reason = printable(status.reason(), kLongestReason);
    const std::string what = status.topic == kEndTopic     ? "the executor has ended"
                             : status.topic == kAbortTopic ? "the executor has aborted"
                                                           : "the executor is gone";
    return reason.empty() ? what : what + ": " + reason;
}

std::optional<int> number_in(const Shareable& input, std::string_view header) {
    const auto* value = input.header(header);
    const auto* number = value == nullptr ? nullptr : value->if_integer();
    if (number == nullptr || *number < 0 || *number > std::numeric_limits<int>::max()) return std::nullopt;
    return static_cast<int>(*number);
}

}  // namespace

LaunchedAgent::LaunchedAgent(std::shared_ptr<Pipe> pipe, const InitOptions& options)
    : submit_timeout_(options.submit_timeout),
      log_timeout_(options.log_timeout),
      pipe_(std::move(pipe)),
      handler_(pipe_, options.handler) {
    handler_.on_status([this](PipeMessage&& message) { on_status(message); });
    handler_.on_message([this](PipeMessage&& message) { on_message(std::move(message)); });
    handler_.start();
}

LaunchedAgent::~LaunchedAgent() { close(); }

// ---- what the executor says, on the handler's thread ------------------------------------------

void LaunchedAgent::on_status(const PipeMessage& message) {
    // An end comes after a result was taken, but may overtake the news of that, on a connection of its own. The pipe is
    // closed next, so that nobody waits in vain.
    end(why_closed(message), message.topic != kEndTopic);
}

void LaunchedAgent::on_message(PipeMessage&& message) {
    if (message.kind != PipeMessage::Kind::request) {
        log::debug("agent: a reply that nobody asked for, on topic " + message.topic);
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        if (pending_) log::warning("agent: the task " + pending_->topic + " was replaced before it was fetched");
        pending_ = std::move(message);
    }
    room_.notify();
}

/// The first reason counts. Whoever works on the open task is told without a lock: it may call this agent.
void LaunchedAgent::end(const std::string& why, bool gone) {
    if (gone) gone_.trigger(why);
    if (!closed_.trigger(why)) return;
    std::optional<Signal> abort;
    {
        const std::lock_guard lock(mutex_);
        if (open_) abort = open_->abort;
    }
    room_.notify();
    if (abort) abort->trigger(why);
}

AgentError LaunchedAgent::closed_error() const { return {Kind::closed, "agent: " + closed_.reason()}; }

// ---- tasks and results ------------------------------------------------------------------------

tl::expected<std::optional<Task>, AgentError> LaunchedAgent::get_task(Milliseconds timeout) {
    if (timeout.count() <= 0) {
        return error(Kind::configuration,
                     "get_task with a time-out of " + std::to_string(timeout.count()) + " ms; it must be above 0");
    }
    const auto deadline = pipe::deadline_after(timeout);
    while (true) {
        const auto seen = room_.changes();
        {
            const std::lock_guard lock(mutex_);
            if (!is_running()) return tl::unexpected(closed_error());
            if (open_) {
                return error(Kind::call_state,
                             "get_task while the task " + open_->request.topic + " is open; submit its result first");
            }
            if (pending_) return open(*std::exchange(pending_, std::nullopt));
        }
        if (pipe::Clock::now() >= deadline) return std::nullopt;
        room_.wait(seen, deadline);
    }
}

bool LaunchedAgent::wait_for_task(Milliseconds timeout) {
    const auto deadline = pipe::deadline_after(timeout);
    while (true) {
        const auto seen = room_.changes();
        {
            const std::lock_guard lock(mutex_);
            if (!is_running() || open_ || pending_) return true;
        }
        if (pipe::Clock::now() >= deadline) return false;
        room_.wait(seen, deadline);
    }
}

Task LaunchedAgent::open(PipeMessage&& request) {
    Task task;
    task.name = request.topic;
    task.id = request.id;
    task.input = std::move(request.content);
    task.round = number_in(task.input, "round");
    task.rounds = number_in(task.input, "rounds");
    request.content = {};
    open_ = OpenTask{std::move(request), task.abort};
    return task;
}

tl::expected<void, AgentError> LaunchedAgent::submit_result(Shareable result) {
    // An attached program could not submit it either.
    if (result.header(exchange::kExchangeHeader) != nullptr) {
        return error(Kind::configuration,
                     "the header " + std::string(exchange::kExchangeHeader) + " of the result is reserved; remove it");
    }
    std::optional<PipeMessage> reply;
    {
        const std::lock_guard lock(mutex_);
        if (!is_running()) return tl::unexpected(closed_error());
        if (!open_) return error(Kind::call_state, "submit_result without a task; each task has one result");
        if (open_->submitting) {
            return error(Kind::call_state,
                         "submit_result while another thread submits the result of the task " + open_->request.topic);
        }
        open_->submitting = true;
        reply = PipeMessage::reply_to(open_->request, std::move(result));
    }
    const auto sent = handler_.send(*reply, submit_timeout_, gone_);
    {
        const std::lock_guard lock(mutex_);
        if (sent) {
            open_.reset();
        } else {
            open_->submitting = false;
        }
    }
    if (!sent) return tl::unexpected(to_agent_error(sent.error()));
    return {};
}

tl::expected<void, AgentError> LaunchedAgent::log(const Value::Map& figures, std::string_view type) {
    const exchange::ProgramLog log{std::string(type), figures};
    if (const auto why = log.error(); !why.empty()) return error(Kind::configuration, why);
    if (!is_running()) return tl::unexpected(closed_error());
    const auto sent = handler_.send(log.to_message(), log_timeout_, gone_);
    if (!sent) return tl::unexpected(to_agent_error(sent.error()));
    return {};
}

AgentError LaunchedAgent::to_agent_error(const PipeError& failed) {
    switch (failed.kind) {
        case PipeError::Kind::not_sent:
        case PipeError::Kind::not_taken: return {Kind::not_delivered, "agent: " + failed.message};
        case PipeError::Kind::bad_message: return {Kind::configuration, "agent: " + failed.message};
        case PipeError::Kind::cancelled:
        case PipeError::Kind::closed:
        case PipeError::Kind::broken: break;
    }
    // A broken pipe may be heard of here first; what the executor said before that counts, if it was read already.
    end("the executor is gone: " + failed.message);
    return closed_error();
}

// ---- the end ----------------------------------------------------------------------------------

void LaunchedAgent::close() {
    // No lock: another thread's close may be waiting for the handler's thread, which may be the one that calls here.
    if (closing_.exchange(true)) return;
    const bool peer_lives = is_running();
    end("the agent was closed");
    if (peer_lives) (void)handler_.notify_end("the program has closed its agent");
    handler_.stop(true);
}

}  // namespace rankexec::agent
