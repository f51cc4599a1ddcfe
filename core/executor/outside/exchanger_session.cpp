// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/exchanger_session.hpp"

#include <algorithm>
#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

using exchange::TaskRef;
using std::chrono::milliseconds;
using S = ExchangerState;
using E = ExchangerEvent;
using A = ExchangerAction;

constexpr std::size_t kRemembered = 4096;
/// Heartbeats whose answers are still waited for; older ones say nothing that a later answer does not.
constexpr std::size_t kAsked = 8;
/// Whatever is slower than that is sent for nothing twice.
constexpr std::size_t kSlowestNetwork = std::size_t{1} << 20U;  // bytes per second
/// Before a key that was refused is read again.
constexpr milliseconds kKeyRetry{1'000};

std::string seconds(milliseconds time) {
    if (time.count() % 1000 == 0) return std::to_string(time.count() / 1000) + " s";
    return std::to_string(time.count()) + " ms";
}

Shareable bare(const Shareable& result) {
    Shareable reply;
    reply.code = result.code;
    reply.failure = result.failure;
    return reply;
}

}  // namespace

ExchangerSession::ExchangerSession(exchange::AgentName agent, const IpcExchangerOptions& options, Callbacks callbacks)
    : agent_(std::move(agent)), options_(options), callbacks_(std::move(callbacks)) {
    report_.agent = agent_.to_text();
}

exchange::Endpoint::Callbacks ExchangerSession::endpoint_callbacks() {
    exchange::Endpoint::Callbacks callbacks;
    callbacks.on_up = [this](const std::string& session) { on_up(session); };
    callbacks.on_down = [this](const std::string& why) { on_down(why); };
    callbacks.on_message = [this](exchange::ExchangeMessage&& message, const std::string& id,
                                  const std::string& request_id) { on_message(std::move(message), id, request_id); };
    callbacks.on_bad = [this](const std::string& topic, const std::string& id, const std::string& why) {
        on_bad(topic, id, why);
    };
    callbacks.on_refused = [this](const std::string& why) { on_refused(why); };
    return callbacks;
}

void ExchangerSession::start(exchange::Endpoint& endpoint) {
    endpoint_ = &endpoint;
    step(E::start);
    heard_ = EventLoop::Clock::now();
    watch_silence();
}

// ---- the table --------------------------------------------------------------------------------

void ExchangerSession::step(ExchangerEvent event) {
    const auto step = next_step(state_, event);
    if (!step) return;
    log::debug("agent " + report_.agent + ": " + std::string(to_string(state_)) + ", " + std::string(to_string(event)) +
               ": " + std::string(to_string(step->next)));
    state_ = step->next;
    act(step->action);
}

void ExchangerSession::act(ExchangerAction action) {
    switch (action) {
        case A::none: break;
        case A::give: give(); break;
        case A::give_again: put(); break;
        case A::deliver: finish(std::move(result_)); break;
        case A::fail_refused:
            fail(ReturnCode::bad_request_data, "refused task " + open_->task.name + ": " + open_->why);
            break;
        case A::fail_lost:
            fail(ReturnCode::execution_exception,
                 "no longer has task " + open_->task.name +
                     ", which it had accepted; its program closed it without a result");
            break;
        case A::fail_bad:
            fail(ReturnCode::execution_exception, "sent no result for task " + open_->task.name + ": " + open_->why);
            break;
        case A::fail_exhausted:
            fail(ReturnCode::execution_exception,
                 "was restarted with task " + open_->task.name + " " + std::to_string(open_->task.ref.attempt) +
                     " times; see whether its program ends because of the task (max_attempts is " +
                     std::to_string(options_.max_attempts) + ")");
            break;
        case A::fail_dead:
            fail(ReturnCode::execution_exception, "has not been there for " + seconds(options_.dead_after) + " (" +
                                                      endpoint_->why_down() + "); task " + open_->task.name +
                                                      " is given up");
            break;
        case A::fail_aborted: {
            // Whether or not it is known to have got there: what cannot be sent now the agent is told when it comes
            // back with the task.
            if (open_->task.ref.attempt > 0) (void)endpoint_->send(exchange::AbortTask{open_->task.ref, open_->why});
            auto reply = Shareable::failed(ReturnCode::task_aborted, open_->why);
            reply.failure->task = open_->task.name;
            finish(std::move(reply));
            break;
        }
        case A::panic: break;  // on_dead() says it, in whatever state
    }
}

void ExchangerSession::give() {
    auto& open = *open_;
    open.fetched_before = open.fetched_before || open.fetched;
    open.fetched = open.accepted = false;
    ++open.task.ref.attempt;
    ++report_.attempts;
    open.holder = endpoint_->peer();
    if (open.task.ref.attempt > 1) {
        log::warning("agent " + report_.agent + " was restarted; task " + open.task.name +
                     " is given to it again, attempt " + std::to_string(open.task.ref.attempt));
        auto encoded = endpoint_->encode(open.task);
        if (!encoded) {
            open.why = encoded.error();
            return step(E::bad_result);
        }
        open.message = std::move(*encoded);
    }
    put();
}

void ExchangerSession::put() {
    if (std::exchange(open_->connection, endpoint_->connection()) != endpoint_->connection()) open_->puts = 0;
    ++open_->puts;
    (void)endpoint_->send(open_->message);
    resend_later();
}

void ExchangerSession::resend_later() {
    auto& open = *open_;
    endpoint_->loop().cancel(open.resend);
    const milliseconds on_the_way(1000 * open.message.bytes / kSlowestNetwork);
    // What is on its way over the same connection is there already: ever less often.
    const auto pause =
        (options_.send_timeout + options_.resend_interval + on_the_way) * (1 << std::min(open.puts - 1, 6));
    open.resend = endpoint_->loop().call_after(pause, [this] {
        if (state_ != S::offering) return;
        log::info("agent " + report_.agent + " has not answered to task " + open_->task.name + "; it is sent again");
        put();
    });
}

void ExchangerSession::finish(Shareable&& reply) {
    endpoint_->loop().cancel(open_->resend);
    auto done = std::move(open_->done);
    open_.reset();
    done(std::move(reply));
}

void ExchangerSession::fail(ReturnCode code, const std::string& what) {
    auto reply = Shareable::failed(code, "agent " + report_.agent + " " + what);
    reply.failure->task = open_->task.name;
    finish(std::move(reply));
}

// ---- tasks ------------------------------------------------------------------------------------

void ExchangerSession::begin_task(exchange::GiveTask task, exchange::Outgoing first, Done done) {
    if (state_ == S::closed || has_task(state_)) {
        return done(Shareable::failed(state_ == S::closed ? ReturnCode::not_ready : ReturnCode::bad_request_data,
                                      state_ == S::closed ? "the run has ended" : "a task is open"));
    }
    open_.emplace();
    open_->task = std::move(task);
    open_->message = std::move(first);
    open_->done = std::move(done);
    step(E::task);
}

void ExchangerSession::abort_task(const std::string& id, const std::string& why) {
    if (!open_ || open_->task.ref.task != id) return;
    open_->why = why;
    step(E::abort);
}

void ExchangerSession::end(const std::string& why, std::function<void()> done) {
    if (open_) open_->why = why;
    step(E::end);
    auto& loop = endpoint_->loop();
    for (const auto timer : {heartbeat_, silence_, dead_}) loop.cancel(timer);
    // Whoever is connected is told, though it may not have answered to a heartbeat since: as one whose connection was
    // cut, whose result was the first to come after it.
    if (!options_.say_bye) return done();
    const auto bye = endpoint_->encode(exchange::Bye{why});
    if (!bye || !endpoint_->send(*bye)) return done();
    bye_id_ = bye->message.id;
    bye_done_ = std::move(done);
    loop.call_after(options_.acknowledge_timeout, [this] {
        if (!bye_done_) return;
        log::warning("agent " + report_.agent + " has not answered to the end of the run");
        std::exchange(bye_done_, nullptr)();
    });
}

// ---- the agent --------------------------------------------------------------------------------

void ExchangerSession::on_up(const std::string& session) {
    log::debug("agent " + report_.agent + ": connected, session " + session);
    asked_.clear();
    refused_ = false;
    send_heartbeat();
}

void ExchangerSession::on_down(const std::string& why) {
    endpoint_->loop().cancel(heartbeat_);
    log::info("agent " + report_.agent + ": the connection is lost: " + why);
    step(E::lost);
    if (bye_done_) std::exchange(bye_done_, nullptr)();
}

void ExchangerSession::on_refused(const std::string& why) {
    const auto what = "agent " + report_.agent + ": " + why + "; the key is read again, every second";
    if (std::exchange(refused_, true)) {
        log::debug(what);
    } else {
        log::warning(what);
    }
    endpoint_->loop().call_after(kKeyRetry, [this] {
        const auto key = callbacks_.read_key();
        if (!key) log::error("agent " + report_.agent + ": " + key.error());
        endpoint_->connect_anew(key ? *key : endpoint_->key());
    });
}

void ExchangerSession::send_heartbeat() {
    if (state_ == S::closed) return;
    const auto heartbeat = endpoint_->encode(exchange::Heartbeat{});
    if (heartbeat && endpoint_->send(*heartbeat)) {
        asked_.push_back({heartbeat->message.id, open_ && open_->accepted});
        if (asked_.size() > kAsked) asked_.pop_front();
    }
    endpoint_->loop().cancel(heartbeat_);
    heartbeat_ = endpoint_->loop().call_after(options_.heartbeat_interval, [this] { send_heartbeat(); });
}

void ExchangerSession::heard() {
    heard_ = EventLoop::Clock::now();
    if (std::exchange(silent_, false)) log::warning("agent " + report_.agent + " is there again");
}

void ExchangerSession::watch_silence() {
    const auto arm = [this](EventLoop::TimerId& timer, milliseconds limit, auto&& callback) {
        endpoint_->loop().cancel(timer);
        timer = endpoint_->loop().call_at(heard_ + limit, std::forward<decltype(callback)>(callback));
    };
    arm(silence_, options_.disconnected_after, [this] { on_silence(); });
    if (options_.dead_after.count() > 0) arm(dead_, options_.dead_after, [this] { on_dead(); });
}

void ExchangerSession::on_silence() {
    const auto now = EventLoop::Clock::now();
    if (now < heard_ + options_.disconnected_after) return watch_silence();
    if (!std::exchange(silent_, true)) {
        log::warning("agent " + report_.agent + " is disconnected: no answer for " +
                     seconds(options_.disconnected_after) + " (" +
                     (endpoint_->up() ? std::string("it is connected, and silent") : endpoint_->why_down()) +
                     "); it is waited for");
    }
    // A connection may outlive the program: a child that it forked holds it, or the host is gone.
    endpoint_->connect_anew(endpoint_->key());
    silence_ = endpoint_->loop().call_at(now + options_.disconnected_after, [this] { on_silence(); });
}

void ExchangerSession::on_dead() {
    const auto now = EventLoop::Clock::now();
    if (now < heard_ + options_.dead_after) {
        dead_ = endpoint_->loop().call_at(heard_ + options_.dead_after, [this] { on_dead(); });
        return;
    }
    if (!std::exchange(panicked_, true)) {
        callbacks_.on_panic("agent " + report_.agent + " has not been there for " + seconds(options_.dead_after) +
                            " (" + endpoint_->why_down() + ")");
    }
    step(E::lost);
    step(E::dead);
    dead_ = endpoint_->loop().call_at(now + options_.dead_after, [this] { on_dead(); });
}

void ExchangerSession::on_message(exchange::ExchangeMessage&& message, const std::string& id,
                                  const std::string& request_id) {
    using namespace exchange;
    heard();
    if (state_ == S::closed && !std::holds_alternative<ByeAnswer>(message)) return;
    if (const auto* answer = std::get_if<HeartbeatAnswer>(&message)) return on_heartbeat_answer(*answer, request_id);
    if (const auto* answer = std::get_if<TaskAnswer>(&message)) return on_task_answer(*answer);
    if (const auto* fetched = std::get_if<TaskFetched>(&message)) {
        if (is_open(fetched->ref) && from_holder()) open_->fetched = true;
        return;
    }
    if (auto* result = std::get_if<GiveResult>(&message)) return on_result(std::move(*result), id);
    if (auto* log = std::get_if<ProgramLog>(&message)) return on_log(std::move(*log), id);
    if (std::holds_alternative<ByeAnswer>(message) && request_id == bye_id_ && bye_done_) {
        std::exchange(bye_done_, nullptr)();
    }
}

void ExchangerSession::on_heartbeat_answer(const exchange::HeartbeatAnswer& answer, const std::string& request_id) {
    const auto asked = std::ranges::find(asked_, request_id, &Asked::id);
    if (asked == asked_.end()) return;
    const bool after_acceptance = asked->after_acceptance;
    asked_.erase(asked_.begin(), asked + 1);
    bool holds = false;
    for (const auto& held : answer.holds) {
        if (is_open(held.ref) && from_holder()) {
            holds = true;
            open_->accepted = true;
            open_->fetched = open_->fetched || held.fetched;
        } else if (const auto taken = taken_.find(held.ref.task);
                   taken != taken_.end() && taken->second.attempt == held.ref.attempt) {
            // It has not heard that its result was taken.
            (void)endpoint_->send(exchange::ResultAnswer{held.ref, true, {}}, taken->second.message);
        } else {
            (void)endpoint_->send(exchange::AbortTask{held.ref, "nobody waits for it any more"});
        }
    }
    if (!has_agent(state_)) return agent_is_there(holds);
    if (state_ == S::offering && holds) return step(E::back_with);
    // The answer is newer than the acceptance, so the task was there and is not any more.
    if (state_ == S::working && !holds && after_acceptance) step(E::back_without);
}

void ExchangerSession::agent_is_there(bool holds) {
    const bool another = endpoint_->peer() != agent_session_;
    if (another && !agent_session_.empty()) log::warning("agent " + report_.agent + " was restarted");
    agent_session_ = endpoint_->peer();
    if (!open_ || open_->holder.empty()) return step(E::came);
    if (from_holder()) return step(holds ? E::back_with : E::back_without);
    step(open_->task.ref.attempt >= options_.max_attempts ? E::exhausted : E::came);
}

void ExchangerSession::on_task_answer(const exchange::TaskAnswer& answer) {
    if (!is_open(answer.ref) || !from_holder()) return;
    if (answer.accepted) {
        open_->accepted = true;
        return step(E::accepted);
    }
    open_->why = answer.why;
    step(E::refused);
}

// ---- results ----------------------------------------------------------------------------------

bool ExchangerSession::is_open(const TaskRef& ref) const { return open_ && open_->task.ref == ref; }
bool ExchangerSession::from_holder() const { return open_ && open_->holder == endpoint_->peer(); }

void ExchangerSession::on_result(exchange::GiveResult&& result, const std::string& id) {
    const auto answer = [&](const std::optional<TaskRef>& ref, bool accepted, std::string why = {}) {
        (void)endpoint_->send(exchange::ResultAnswer{ref, accepted, std::move(why)}, id);
    };
    const auto& ref = result.ref;
    if (!ref) {
        if (!open_) return answer({}, true);
        const bool fetched = open_->fetched_before || (open_->fetched && !from_holder());
        if (!fetched) {
            ++report_.late_results;
            return answer({}, false, "task " + open_->task.name + " is open, which no program before this one had got");
        }
        answer(open_->task.ref, true);
        return take_result(std::move(result), id);
    }
    if (is_open(*ref) || (open_ && ref->attempt == 0 && ref->task == open_->task.ref.task)) {
        answer(open_->task.ref, true);
        return take_result(std::move(result), id);
    }
    if (const auto taken = taken_.find(ref->task);
        taken != taken_.end() && (ref->attempt == 0 || ref->attempt == taken->second.attempt)) {
        return answer(ref, true);
    }
    ++report_.late_results;
    if (!open_) return answer(ref, false, "no task is open; this one is over");
    answer(ref, false,
           ref->task == open_->task.ref.task ? "the task was given to another process of the agent meanwhile"
                                             : "another task is open; this one is over");
}

void ExchangerSession::take_result(exchange::GiveResult&& result, const std::string& id) {
    remember_result(open_->task.ref, id);
    if (result.result.code == ReturnCode::ok) {
        auto& headers = result.result.headers;
        const bool app_defined = open_->task.kind == exchange::kAppDefinedKind;
        headers[std::string(exchange::kDataKindHeader)] =
            app_defined ? std::string(exchange::kAppDefinedKind) : std::move(result.kind);
        result_ = std::move(result.result);
    } else {
        result_ = bare(result.result);
    }
    step(E::result);
}

void ExchangerSession::on_bad(const std::string& topic, const std::string& id, const std::string& why) {
    heard();
    ++report_.rejected;
    log::warning("agent " + report_.agent + ": " + why);
    if (topic != "result" || state_ == S::closed) return;
    (void)endpoint_->send(exchange::ResultAnswer{{}, false, why}, id);
    if (!open_ || !from_holder()) return;
    open_->why = why;
    step(E::bad_result);
}

void ExchangerSession::remember_result(const TaskRef& ref, const std::string& message) {
    taken_[ref.task] = {ref.attempt, message};
    taken_order_.push_back(ref.task);
    if (taken_order_.size() <= kRemembered) return;
    taken_.erase(taken_order_.front());
    taken_order_.pop_front();
}

void ExchangerSession::on_log(exchange::ProgramLog&& log, const std::string& id) {
    (void)endpoint_->send(exchange::LogAnswer{}, id);
    if (std::ranges::find(logs_, id) != logs_.end()) return;
    logs_.push_back(id);
    if (logs_.size() > 64) logs_.pop_front();
    callbacks_.on_log(std::move(log));
}

IpcExchangerReport ExchangerSession::report() const {
    auto report = report_;
    report.state = state_;
    if (endpoint_ != nullptr) report.rejected += endpoint_->rejected();
    return report;
}

}  // namespace rankexec
