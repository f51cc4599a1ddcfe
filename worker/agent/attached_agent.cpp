// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/agent/attached_agent.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "rankexec/core/system/log.hpp"
#include "rankexec/ipc/pipe/pipe_codec.hpp"
#include "rankexec/ipc/pipe/wait_room.hpp"

namespace rankexec::agent {
namespace {

using exchange::TaskRef;

/// Whatever is slower than that is sent for nothing twice.
constexpr std::size_t kSlowestNetwork = std::size_t{1} << 20U;  // bytes per second
/// More than that are not remembered when nobody waits for them any more.
constexpr std::size_t kRequests = 64;

tl::unexpected<AgentError> failed(AgentError::Kind kind, std::string message) {
    return tl::unexpected(AgentError{kind, std::move(message)});
}

std::string milliseconds_text(Milliseconds time) { return std::to_string(time.count()) + " ms"; }

std::optional<std::string> option_error(const AttachOptions& options) {
    if (auto wrong = exchange::AgentName{options.site, options.id}.error()) return wrong;
    if (const auto tcp = exchange::TcpAddress::parse(options.listen); !tcp) return "listen: " + tcp.error();
    const auto positive = [](const char* name, Milliseconds value) -> std::optional<std::string> {
        if (value.count() > 0) return std::nullopt;
        return std::string(name) + " is " + milliseconds_text(value) + "; it must be above 0";
    };
    if (auto wrong = positive("submit_timeout", options.submit_timeout)) return wrong;
    if (auto wrong = positive("resend_interval", options.resend_interval)) return wrong;
    if (auto wrong = positive("log_timeout", options.log_timeout)) return wrong;
    if (options.connection_timeout.count() < 0) {
        return "connection_timeout is " + milliseconds_text(options.connection_timeout) + "; it must not be below 0";
    }
    return std::nullopt;
}

std::optional<int> as_int(const std::optional<std::int64_t>& number) {
    if (!number || *number < INT32_MIN || *number > INT32_MAX) return std::nullopt;
    return static_cast<int>(*number);
}

}  // namespace

tl::expected<std::unique_ptr<Agent>, AgentError> attach(const AttachOptions& options) {
    auto agent = std::make_unique<AttachedAgent>(options);
    if (auto started = agent->start(); !started) return tl::unexpected(std::move(started.error()));
    return agent;
}

AttachedAgent::AttachedAgent(AttachOptions options) : options_(std::move(options)) {}
AttachedAgent::~AttachedAgent() { close(); }

tl::expected<void, AgentError> AttachedAgent::start() {
    const std::lock_guard lock(releasing_);
    if (closed_.triggered()) return failed(AgentError::Kind::call_state, "the agent was closed: " + closed_.reason());
    if (wire_ != nullptr) return failed(AgentError::Kind::call_state, "the agent was started before");
    if (auto wrong = option_error(options_)) return failed(AgentError::Kind::configuration, std::move(*wrong));
    const exchange::AgentName name{options_.site, options_.id};
    auto place = exchange::open_meeting_place(name, options_.base_folder, options_.key_file);
    if (!place) return failed(AgentError::Kind::configuration, place.error());
    auto occupation = exchange::Occupation::begin(*place, name);
    if (!occupation) return failed(AgentError::Kind::connection, occupation.error());
    exchange::Endpoint::Callbacks callbacks;
    callbacks.on_up = [this](const std::string& session) { on_up(session); };
    callbacks.on_down = [](const std::string& why) { log::info("the connection to the executor is lost: " + why); };
    callbacks.on_message = [this](exchange::ExchangeMessage&& message, const std::string& id,
                                  const std::string& request_id) { on_message(std::move(message), id, request_id); };
    callbacks.on_bad = [](const std::string& /*topic*/, const std::string& /*id*/, const std::string& why) {
        log::warning("the executor: " + why);
    };
    callbacks.on_refused = [](const std::string& /*why*/) {};
    auto endpoint = exchange::Endpoint::listen(*place, exchange::TcpAddress::parse(options_.listen).value(),
                                               options_.limits, std::move(callbacks));
    if (!endpoint) return failed(AgentError::Kind::connection, endpoint.error());
    occupation_.emplace(std::move(*occupation));
    endpoint_ = std::move(*endpoint);
    wire_ = endpoint_.get();
    if (options_.connection_timeout.count() > 0) {
        first_connection_ = endpoint_->loop().call_after(options_.connection_timeout, [this] { nobody_came(); });
    }
    endpoint_->post([this] { loop_thread_ = std::this_thread::get_id(); });
    endpoint_->start();
    return {};
}

// ---- the program ------------------------------------------------------------------------------

template <typename Work>
auto AttachedAgent::locked(Work&& work) {
    std::unique_lock lock(mutex_);
    if constexpr (std::is_void_v<decltype(work())>) {
        work();
        trigger_aborts(lock);
    } else {
        auto result = work();
        trigger_aborts(lock);
        return result;
    }
}

void AttachedAgent::trigger_aborts(std::unique_lock<std::mutex>& lock) {
    const auto aborts = desk_.take_aborts();
    lock.unlock();
    changed_.notify_all();
    for (const auto& [signal, reason] : aborts) signal.trigger(reason);
}

tl::expected<std::optional<Task>, AgentError> AttachedAgent::get_task(Milliseconds timeout) {
    if (timeout.count() <= 0) {
        return failed(AgentError::Kind::configuration,
                      "the time-out of get_task is " + milliseconds_text(timeout) + "; it must be above 0");
    }
    if (on_own_thread()) return tl::unexpected(own_thread_error("get_task"));
    const auto deadline = pipe::deadline_after(timeout);
    std::unique_lock lock(mutex_);
    if (auto* const open = desk_.open(); open != nullptr && open->delivered) desk_.finish();
    if (const auto* const open = desk_.open(); open != nullptr && !closed_.triggered()) {
        return failed(AgentError::Kind::call_state,
                      "task " + open->ref.task + " is open; submit its result before getting the next one");
    }
    changed_.wait_until(lock, deadline, [this] { return desk_.has_waiting() || closed_.triggered(); });
    if (closed_.triggered()) {
        lock.unlock();
        release();
        return tl::unexpected(closed_error());
    }
    // Another thread of the program may have been faster.
    if (!desk_.has_waiting() || desk_.open() != nullptr) return std::nullopt;
    auto given = desk_.fetch();
    begun_ = true;
    Task task;
    task.name = std::move(given.name);
    task.id = given.ref.task;
    task.input = std::move(given.input);
    task.round = as_int(given.round);
    task.rounds = as_int(given.rounds);
    task.abort = desk_.open()->abort;
    endpoint_->post([this, ref = given.ref] { (void)wire_->send(exchange::TaskFetched{ref}); });
    return task;
}

bool AttachedAgent::wait_for_task(Milliseconds timeout) {
    if (on_own_thread()) return true;
    const auto deadline = pipe::deadline_after(timeout);
    std::unique_lock lock(mutex_);
    const auto answers = [this] {
        const auto* const open = desk_.open();
        return desk_.has_waiting() || closed_.triggered() || (open != nullptr && !open->delivered);
    };
    return changed_.wait_until(lock, deadline, answers);
}

tl::expected<std::optional<TaskRef>, AgentError> AttachedAgent::task_of_result(const Shareable& result) {
    if (auto* const open = desk_.open(); open != nullptr) return open->ref;
    if (begun_) {
        return failed(AgentError::Kind::call_state, "no task is open; get_task has to come before submit_result");
    }
    const auto* const task = result.header(exchange::kTaskIdHeader);
    if (task == nullptr) return std::nullopt;
    const auto* const id = task->if_text();
    if (id == nullptr || !pipe::is_id(*id)) {
        return failed(AgentError::Kind::configuration, "the header task_id is no task's id: 32 hexadecimal digits");
    }
    return TaskRef{*id, 0};
}

tl::expected<void, AgentError> AttachedAgent::submit_result(Shareable result) {
    if (on_own_thread()) return tl::unexpected(own_thread_error("submit_result"));
    std::unique_lock lock(mutex_);
    if (closed_.triggered()) {
        lock.unlock();
        release();
        return tl::unexpected(closed_error());
    }
    if (submitting_) return failed(AgentError::Kind::call_state, "another thread submits a result");
    const auto ref = task_of_result(result);
    if (!ref) return tl::unexpected(ref.error());
    if (const auto* const open = desk_.open(); open != nullptr) {
        if (open->delivered) {
            desk_.finish();
            return {};
        }
        // Only who has taken it knows, if a result was sent before another task came.
        if (!open->over.empty() && !(open->displaced && open->sent)) {
            auto error = failed(AgentError::Kind::refused, "the task is over: " + open->over);
            desk_.finish();
            changed_.notify_all();
            return error;
        }
    }
    if (result.header(exchange::kExchangeHeader) != nullptr) {
        return failed(AgentError::Kind::configuration, "the header _exchange_ is reserved");
    }
    auto kind = exchange::data_kind_of(result, exchange::kDefaultDataKind);
    if (!kind) return failed(AgentError::Kind::configuration, kind.error());
    auto message = endpoint_->encode(exchange::GiveResult{*ref, std::move(*kind), std::move(result)});
    if (!message) return failed(AgentError::Kind::configuration, "the result: " + message.error());
    submitting_ = true;
    desk_.set_submitting(true);
    auto sent = request(std::move(*message), *ref, options_.submit_timeout, "the result", lock);
    submitting_ = false;
    if (sent || sent.error().kind == AgentError::Kind::refused) {
        begun_ = true;
        // Another thread may have got the next task meanwhile.
        if (const auto* const open = desk_.open(); open != nullptr && *ref && open->ref == **ref) desk_.finish();
    }
    desk_.set_submitting(false);
    trigger_aborts(lock);
    return sent;
}

tl::expected<void, AgentError> AttachedAgent::log(const Value::Map& figures, std::string_view type) {
    if (on_own_thread()) return tl::unexpected(own_thread_error("log"));
    exchange::ProgramLog log{std::string(type), figures};
    if (auto wrong = log.error(); !wrong.empty()) return failed(AgentError::Kind::configuration, std::move(wrong));
    std::unique_lock lock(mutex_);
    if (closed_.triggered()) return tl::unexpected(closed_error());
    auto message = endpoint_->encode(std::move(log));
    if (!message) return failed(AgentError::Kind::configuration, "the log: " + message.error());
    return request(std::move(*message), std::nullopt, options_.log_timeout, "the log", lock);
}

tl::expected<void, AgentError> AttachedAgent::request(exchange::Outgoing message, std::optional<TaskRef> ref,
                                                      Milliseconds timeout, const char* what,
                                                      std::unique_lock<std::mutex>& lock) {
    const auto id = message.message.id;
    if (requests_.size() > kRequests) {
        std::erase_if(requests_, [](const auto& entry) { return !entry.second.waited_for; });
    }
    auto& waiting = requests_[id];
    waiting.message = std::move(message);
    waiting.ref = ref;
    endpoint_->post([this, id] { put(id); });
    const auto over = [&]() -> std::string {
        const auto* const open = desk_.open();
        const bool known = ref && open != nullptr && open->ref == *ref && !open->displaced;
        return known ? open->over : std::string();
    };
    if (auto* const open = desk_.open(); ref && open != nullptr && open->ref == *ref) open->sent = true;
    changed_.wait_until(lock, pipe::deadline_after(timeout),
                        [&] { return waiting.answered || closed_.triggered() || !over().empty(); });
    const bool answered = waiting.answered;
    const bool accepted = waiting.accepted;
    const auto why = waiting.why;
    if (answered) {
        requests_.erase(id);
        if (accepted) return {};
        return failed(AgentError::Kind::refused, "the executor refuses " + std::string(what) + ": " + why);
    }
    // Its answer may come yet.
    waiting.waited_for = false;
    if (closed_.triggered()) return tl::unexpected(closed_error());
    if (const auto reason = over(); !reason.empty()) {
        return failed(AgentError::Kind::refused, "the task is over: " + reason);
    }
    return failed(AgentError::Kind::not_delivered, "the executor has not taken " + std::string(what) + " within " +
                                                       milliseconds_text(timeout) + "; see whether it is there");
}

bool AttachedAgent::is_running() const { return !closed_.triggered(); }

AgentError AttachedAgent::own_thread_error(const char* call) {
    return {AgentError::Kind::call_state, std::string(call) +
                                              " was called by what is subscribed to a task's abort, which " +
                                              "runs on the thread that it would wait for; call it elsewhere"};
}

AgentError AttachedAgent::closed_error() const {
    return {AgentError::Kind::closed, "the agent " + name() + " is closed: " + closed_.reason()};
}

void AttachedAgent::close() {
    end("the program has closed it");
    release();
}

void AttachedAgent::end(const std::string& why) {
    // Whoever waits looks at this with the lock.
    if (!locked([&] {
            if (closed_.triggered()) return false;
            desk_.close(why);
            return true;
        })) {
        return;
    }
    closed_.trigger(why);
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
}

void AttachedAgent::release() {
    // From what is subscribed to an abort: the destructor does it then.
    if (on_own_thread()) return;
    const std::lock_guard releasing(releasing_);
    std::unique_ptr<exchange::Endpoint> endpoint;
    {
        // Whoever uses it has seen, with the lock, that the agent is not closed.
        const std::lock_guard lock(mutex_);
        endpoint = std::move(endpoint_);
    }
    endpoint.reset();
    occupation_.reset();
}

// ---- the exchanger, on the endpoint's thread --------------------------------------------------

void AttachedAgent::on_up(const std::string& session) {
    wire_->loop().cancel(first_connection_);
    if (session != exchanger_) {
        if (!exchanger_.empty()) log::warning("another executor has come to agent " + name() + "; it is adopted");
        exchanger_ = session;
        locked([&] { desk_.on_new_exchanger("its executor is gone, and another one has come"); });
    }
    std::vector<std::string> again;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [id, request] : requests_) {
            if (request.waited_for && !request.answered) again.push_back(id);
        }
    }
    for (const auto& id : again) put(id);
}

void AttachedAgent::nobody_came() {
    end("no executor has come within " + milliseconds_text(options_.connection_timeout));
}

void AttachedAgent::put(const std::string& id) {
    const std::lock_guard lock(mutex_);
    const auto found = requests_.find(id);
    if (found == requests_.end()) return;
    auto& request = found->second;
    wire_->loop().cancel(request.resend);
    if (!request.waited_for) {
        // Nobody needs its content any more; its answer may come.
        request.message.message.frames.clear();
        return;
    }
    if (request.answered || !wire_->up()) return;
    if (std::exchange(request.connection, wire_->connection()) != wire_->connection()) request.puts = 0;
    ++request.puts;
    (void)wire_->send(request.message);
    const Milliseconds on_the_way(1000 * request.message.bytes / kSlowestNetwork);
    // What is on its way over the same connection is there already: ever less often.
    const auto pause = (options_.resend_interval + on_the_way) * (1 << std::min(request.puts - 1, 6));
    request.resend = wire_->loop().call_after(pause, [this, id] { put(id); });
}

void AttachedAgent::on_message(exchange::ExchangeMessage&& message, const std::string& id,
                               const std::string& request_id) {
    using namespace exchange;
    if (std::holds_alternative<Heartbeat>(message)) {
        (void)wire_->send(HeartbeatAnswer{locked([this] { return desk_.holds(); })}, id);
    } else if (auto* const task = std::get_if<GiveTask>(&message)) {
        (void)wire_->send(locked([&] { return desk_.on_task(std::move(*task)); }), id);
    } else if (const auto* const abort = std::get_if<AbortTask>(&message)) {
        locked([&] { desk_.on_abort(abort->ref, abort->why); });
        (void)wire_->send(AbortAnswer{abort->ref}, id);
    } else if (const auto* const bye = std::get_if<Bye>(&message)) {
        (void)wire_->send(ByeAnswer{}, id);
        end("its executor says: " + bye->why);
    } else if (const auto* const answer = std::get_if<ResultAnswer>(&message)) {
        on_answer(request_id, answer->accepted, answer->why, answer->ref);
    } else if (std::holds_alternative<LogAnswer>(message)) {
        on_answer(request_id, true, {}, std::nullopt);
    }
}

void AttachedAgent::on_answer(const std::string& request_id, bool accepted, const std::string& why,
                              const std::optional<TaskRef>& ref) {
    locked([&] {
        if (accepted && ref) desk_.on_taken(*ref);
        const auto found = requests_.find(request_id);
        if (found == requests_.end()) return;
        auto& request = found->second;
        wire_->loop().cancel(request.resend);
        if (!accepted && request.ref) desk_.on_abort(*request.ref, why);
        if (!request.waited_for) {
            requests_.erase(found);
            return;
        }
        request.answered = true;
        request.accepted = accepted;
        request.why = why;
    });
}

}  // namespace rankexec::agent
