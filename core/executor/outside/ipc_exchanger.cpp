// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/ipc_exchanger.hpp"

#include <future>
#include <mutex>
#include <thread>
#include <utility>

#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/executor/outside/exchanger_session.hpp"
#include "rankexec/core/executor/outside/option_checks.hpp"
#include "rankexec/core/executor/outside/program_events.hpp"
#include "rankexec/core/model/event_type.hpp"
#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/ipc/transport/credentials.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;

constexpr const char* kWhose = "IPC exchanger";

[[noreturn]] void refuse(const std::string& what) { option::refuse(kWhose, what); }

std::string text_of(const char* name, milliseconds value) {
    return std::string(name) + " is " + option::in_words(value);
}

Failure failure_of(ReturnCode code, std::string message) {
    Failure failure;
    failure.code = code;
    failure.message = std::move(message);
    return failure;
}

/// What the input says of itself, or why it is no task's input.
tl::expected<exchange::GiveTask, std::string> task_from(const std::string& name, const Shareable& input) {
    exchange::GiveTask task;
    if (!input.ok()) return tl::unexpected("the input is a failed reply: " + std::string(to_string(input.code)));
    if (name.empty() || name.size() > exchange::kTaskNameBytes) {
        return tl::unexpected("a task's name has 1 to " + std::to_string(exchange::kTaskNameBytes) + " bytes, not " +
                              std::to_string(name.size()));
    }
    if (input.header(exchange::kExchangeHeader) != nullptr) {
        return tl::unexpected<std::string>("the header _exchange_ is reserved");
    }
    auto kind = exchange::data_kind_of(input, exchange::kDefaultDataKind);
    if (!kind) return tl::unexpected(kind.error());
    const auto number = [&](std::string_view header) -> std::optional<std::int64_t> {
        const auto* const value = input.header(header);
        if (value == nullptr || value->if_integer() == nullptr) return std::nullopt;
        return *value->if_integer();
    };
    task.name = name;
    task.kind = std::move(*kind);
    task.round = number(exchange::kRoundHeader);
    task.rounds = number(exchange::kRoundsHeader);
    task.input = input;
    return task;
}

/// Fires events on a thread of its own, one after another, so that no handler holds up the exchange.
class EventThread {
public:
    EventThread() : thread_([this] { loop_.run(); }) {}
    ~EventThread() {
        loop_.stop();
        thread_.join();
    }
    EventThread(const EventThread&) = delete;
    EventThread& operator=(const EventThread&) = delete;

    void post(std::function<void()> work) { loop_.post(std::move(work)); }
    [[nodiscard]] bool is_this() const { return loop_.in_loop_thread(); }
    /// Until all that was posted has run.
    void drain() {
        const auto drained = std::make_shared<std::promise<void>>();
        auto future = drained->get_future();
        loop_.post([drained] { drained->set_value(); });
        future.wait();
    }

private:
    EventLoop loop_;
    std::thread thread_;
};

}  // namespace

void IpcExchangerOptions::validate() const {
    option::positive(kWhose, "send_timeout", send_timeout);
    option::positive(kWhose, "resend_interval", resend_interval);
    option::positive(kWhose, "heartbeat_interval", heartbeat_interval);
    option::positive(kWhose, "acknowledge_timeout", acknowledge_timeout);
    if (disconnected_after <= heartbeat_interval) {
        refuse(text_of("disconnected_after", disconnected_after) + ", " +
               text_of("heartbeat_interval", heartbeat_interval) + "; the first must be longer");
    }
    if (dead_after.count() != 0 && dead_after < disconnected_after) {
        refuse(text_of("dead_after", dead_after) + ", " + text_of("disconnected_after", disconnected_after) +
               "; the first must be at least as long, or 0");
    }
    if (max_attempts < 1) refuse("max_attempts is " + std::to_string(max_attempts) + "; it must be at least 1");
    const auto tcp = exchange::TcpAddress::parse(address);
    if (!tcp) refuse(tcp.error());
    if (tcp->given() && tcp->host.empty()) refuse("address is " + address + ", which names no host");
    if (tcp->given() && key_file.empty()) {
        refuse("address is " + address + ", but key_file is not set; copy the key file of that agent to this host");
    }
    if (!agent_id.empty() || !site.empty()) {
        const exchange::AgentName name{site.empty() ? std::string(kDefaultSite) : site,
                                       agent_id.empty() ? std::string("any") : agent_id};
        if (const auto wrong = name.error()) refuse(*wrong);
    }
}

/// The endpoint and what lives on its loop, from initialise() to finalise().
struct ExchangerRun {
    std::unique_ptr<ExchangerSession> session;
    std::unique_ptr<exchange::Endpoint> endpoint;  // ends before the session that it calls
};

class IpcExchanger::Impl {
public:
    Impl(IpcExchanger& owner, IpcExchangerOptions options) : owner_(owner), options_(std::move(options)) {
        options_.validate();
    }
    ~Impl() { finalise(); }

    tl::expected<void, Failure> initialise(const Context& context) {
        const std::lock_guard lock(mutex_);
        const auto fail = [](ReturnCode code, const std::string& what) {
            return tl::unexpected(failure_of(code, "IPC exchanger: " + what));
        };
        if (quiet_) return fail(ReturnCode::bad_request_data, "it has ended for good");
        if (run_) return fail(ReturnCode::bad_request_data, "it has begun before; finalise it first");
        auto name = agent_name(context);
        if (!name) return fail(ReturnCode::initialisation_error, name.error());
        const auto open_place = [name = *name, options = options_] {
            // A key of the exchanger's own making would be nobody else's.
            return exchange::open_meeting_place(name, options.base_folder, options.key_file, false);
        };
        auto place = open_place();
        if (!place) return fail(ReturnCode::launch_error, place.error());
        if (!events_) events_ = std::make_shared<EventThread>();
        ExchangerSession::Callbacks callbacks;
        callbacks.on_panic = [this, events = events_](std::string reason) { panic(*events, std::move(reason)); };
        callbacks.on_log = [this, events = events_](exchange::ProgramLog&& log) { fire(*events, std::move(log)); };
        callbacks.read_key = [open_place]() -> tl::expected<Secret, std::string> {
            auto again = open_place();
            if (!again) return tl::unexpected(again.error());
            return again->key;
        };
        auto run = std::make_shared<ExchangerRun>();
        run->session = std::make_unique<ExchangerSession>(*name, options_, std::move(callbacks));
        auto endpoint = exchange::Endpoint::connect(*place, exchange::TcpAddress::parse(options_.address).value(),
                                                    options_.limits, run->session->endpoint_callbacks());
        if (!endpoint) return fail(ReturnCode::launch_error, endpoint.error());
        run->endpoint = std::move(*endpoint);
        run->endpoint->post([session = run->session.get(), end = run->endpoint.get()] { session->start(*end); });
        run->endpoint->start();
        run_ = std::move(run);
        return {};
    }

    void finalise() {
        std::shared_ptr<ExchangerRun> run;
        {
            const std::lock_guard lock(mutex_);
            run = std::move(run_);
            run_.reset();
        }
        if (!run) return;
        const auto ended = std::make_shared<std::promise<void>>();
        auto future = ended->get_future();
        run->endpoint->post([session = run->session.get(), ended] {
            session->end("the run has ended", [ended] { ended->set_value(); });
        });
        future.wait();
        // An execute that is about to return may hold the rest a little longer.
    }

    void quiesce() {
        finalise();
        std::shared_ptr<EventThread> events;
        {
            const std::lock_guard lock(mutex_);
            quiet_ = true;
            events = std::move(events_);
        }
    }

    Shareable execute(const std::string& name, const Shareable& input, const Signal& abort) {
        std::shared_ptr<ExchangerRun> run;
        std::shared_ptr<EventThread> events;
        {
            const std::lock_guard lock(mutex_);
            if (!run_)
                return Shareable::failed(ReturnCode::not_ready, "IPC exchanger: the run has not begun, or has ended");
            if (events_->is_this()) {
                return Shareable::failed(ReturnCode::bad_request_data,
                                         "execute was called by a handler of what the agent's program logged");
            }
            if (executing_) return Shareable::failed(ReturnCode::bad_request_data, "IPC exchanger: a task is open");
            executing_ = true;
            run = run_;
            events = events_;
        }
        const Executing until_return(*this);
        if (abort.triggered()) return Shareable::failed(ReturnCode::task_aborted, abort.reason());
        auto task = task_from(name, input);
        if (!task)
            return Shareable::failed(ReturnCode::bad_task_data, "task " + printable(name, 64) + ": " + task.error());
        task->ref = {random_run_id(), 1};
        auto first = run->endpoint->encode(*task);
        if (!first)
            return Shareable::failed(ReturnCode::bad_task_data, "task " + printable(name, 64) + ": " + first.error());
        task->ref.attempt = 0;
        const auto id = task->ref.task;
        const auto answered = std::make_shared<std::promise<Shareable>>();
        auto future = answered->get_future();
        run->endpoint->post([&, session = run->session.get(), answered] {
            session->begin_task(std::move(*task), std::move(*first),
                                [answered](Shareable&& reply) { answered->set_value(std::move(reply)); });
        });
        const auto subscription = abort.on_trigger([run, id](const std::string& reason) {
            run->endpoint->post([session = run->session.get(), id, reason] { session->abort_task(id, reason); });
        });
        auto reply = future.get();
        events->drain();
        return reply;
    }

    IpcExchangerReport report() {
        std::shared_ptr<ExchangerRun> run;
        {
            const std::lock_guard lock(mutex_);
            run = run_;
        }
        if (!run) return {};
        auto reported = std::make_shared<std::promise<IpcExchangerReport>>();
        auto report = reported->get_future();
        run->endpoint->post([session = run->session.get(), reported] { reported->set_value(session->report()); });
        return report.get();
    }

    [[nodiscard]] bool has_begun() {
        const std::lock_guard lock(mutex_);
        return run_ != nullptr;
    }

private:
    /// The next task may come, whatever becomes of this one.
    class Executing {
    public:
        explicit Executing(Impl& impl) : impl_(impl) {}
        ~Executing() {
            const std::lock_guard lock(impl_.mutex_);
            impl_.executing_ = false;
        }
        Executing(const Executing&) = delete;
        Executing& operator=(const Executing&) = delete;

    private:
        Impl& impl_;
    };

    tl::expected<exchange::AgentName, std::string> agent_name(const Context& context) const {
        exchange::AgentName name{options_.site, options_.agent_id};
        if (name.site.empty()) name.site = context.text_or(kSiteProperty, kDefaultSite);
        if (name.id.empty()) {
            const auto meta = context.get(kJobMetaProperty);
            const auto* const id = meta ? meta->find(kAgentIdKey) : nullptr;
            if (id == nullptr) {
                return tl::unexpected<std::string>(
                    "no agent is named: set agent_id in the executor's options or in the job's metadata");
            }
            if (id->if_text() == nullptr) {
                return tl::unexpected("agent_id in the job's metadata is " + std::string(to_string(id->kind())) +
                                      ", not text");
            }
            name.id = *id->if_text();
        }
        if (auto wrong = name.error()) return tl::unexpected(std::move(*wrong));
        return name;
    }

    void fire(EventThread& events, exchange::ProgramLog&& log) {
        events.post([this, log = std::move(log)]() mutable {
            if (owner_.in_engine()) fire_program_event(owner_.engine(), std::move(log), std::nullopt);
        });
    }

    void panic(EventThread& events, std::string reason) {
        log::error(reason);
        events.post([this, reason = std::move(reason)] {
            if (!owner_.in_engine()) return;
            auto context = owner_.engine().new_context();
            context.set("panic_reason", reason);
            owner_.fire_event(std::string(event::kSystemPanic), context);
        });
    }

    IpcExchanger& owner_;
    const IpcExchangerOptions options_;
    std::mutex mutex_;
    bool quiet_ = false;
    bool executing_ = false;
    std::shared_ptr<EventThread> events_;
    std::shared_ptr<ExchangerRun> run_;  // last: its thread uses the others
};

IpcExchanger::IpcExchanger(IpcExchangerOptions options) : impl_(std::make_shared<Impl>(*this, std::move(options))) {}
IpcExchanger::~IpcExchanger() { impl_->quiesce(); }

tl::expected<void, Failure> IpcExchanger::initialise(const Context& context) { return impl_->initialise(context); }
void IpcExchanger::finalise() { impl_->finalise(); }
void IpcExchanger::quiesce() { impl_->quiesce(); }
IpcExchangerReport IpcExchanger::report() const { return impl_->report(); }

void IpcExchanger::handle_event(const std::string& type, Context& context) {
    if (type == event::kEndRun) return finalise();
    if (type != event::kStartRun || impl_->has_begun()) return;
    const auto begun = initialise(context);
    if (begun) return;
    log::error("start_run: " + begun.error().describe());
    context.set("panic_reason", begun.error().message);
    if (in_engine()) fire_event(std::string(event::kSystemPanic), context);
}

Shareable IpcExchanger::execute(const std::string& task, const Shareable& input, Context& /*context*/,
                                const Signal& abort) {
    try {
        return impl_->execute(task, input, abort);
    } catch (const std::exception& error) {
        return Shareable::failed(ReturnCode::execution_exception,
                                 "IPC exchanger: task " + printable(task, 64) + ": " + error.what());
    }
}

}  // namespace rankexec
