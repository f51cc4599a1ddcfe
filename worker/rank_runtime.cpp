// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/rank_runtime.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/thrown_type.hpp"
#include "rankexec/core/model/event_type.hpp"
#include "rankexec/core/system/listed_pid.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/worker/throw_clock.hpp"

namespace rankexec::worker {
namespace {

/// For a segment of shared memory whose pages the parent has to allocate first.
constexpr std::chrono::seconds kSegmentPatience{30};

/// For the last messages on the way out.
constexpr std::chrono::milliseconds kLinger{1000};

RingIdentity on_ring(const Bootstrap& bootstrap, int rank) { return {bootstrap.run_id, bootstrap.incarnation, rank}; }

/// What the calling thread is working on, so that an event it fires can name the context that its
/// changes belong to.
struct Cause {
    std::uint64_t task_id = 0;
    std::uint64_t parent_event = 0;
};
thread_local Cause current_cause;

class ScopedCause {
public:
    explicit ScopedCause(Cause cause) : former_(std::exchange(current_cause, cause)) {}
    ScopedCause(const ScopedCause&) = delete;
    ScopedCause& operator=(const ScopedCause&) = delete;
    ~ScopedCause() { current_cause = former_; }

private:
    Cause former_;
};

Failure failure_here(ReturnCode code, std::string message, int rank) {
    Failure failure;
    failure.code = code;
    failure.message = std::move(message);
    failure.rank = rank;
    failure.host = host_name();
    failure.pid = listed_pid();
    return failure;
}

/// What is told of an exception at most.
constexpr std::size_t kExceptionBytes = std::size_t{64} * 1024;
constexpr int kNestedExceptions = 16;

/// What an exception says, and those that it holds (std::throw_with_nested).
std::string text_of(const std::exception_ptr& thrown, int depth = 0) {
    std::string text;
    try {
        std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
        text = error.what();
        try {
            if (depth < kNestedExceptions) std::rethrow_if_nested(error);
        } catch (...) {
            text += "; because of: " + text_of(std::current_exception(), depth + 1);
        }
    } catch (const std::string& said) {
        text = said;
    } catch (const char* said) {
        text = said != nullptr ? said : "a null pointer";
    } catch (...) {
        text = "unknown exception";
    }
    if (text.size() > kExceptionBytes) text.resize(kExceptionBytes);
    return text;
}

/// Of the exception that is being handled, with the name of its type.
Failure exception_here(ReturnCode code, int rank) {
    auto failure = failure_here(code, text_of(std::current_exception()), rank);
    failure.exception = name_of_thrown_type();
    return failure;
}

}  // namespace

bool stacks_wanted() { return std::getenv("RANKEXEC_NO_STACKS") == nullptr; }

/// Sends every event that arises on this rank to the parent; the last component, so that the rank's
/// own have set what they want to.
class RankRuntime::Relay : public Component {
public:
    explicit Relay(RankRuntime& runtime) : runtime_(runtime) {}
    void handle_event(const std::string& type, Context& context) override {
        if (context.text_or(property::kEventOrigin, "local") != "parent") runtime_.relay(type, context);
    }

private:
    RankRuntime& runtime_;
};

RankRuntime::RankRuntime(const ComponentRegistry& registry, const Bootstrap& bootstrap, int local_rank)
    : registry_(registry),
      bootstrap_(bootstrap),
      local_rank_(local_rank),
      memory_tasks_(on_ring(bootstrap, wire::kAllRanks)),
      memory_results_(on_ring(bootstrap, bootstrap.rank)) {}

RankRuntime::~RankRuntime() = default;

int RankRuntime::run() {
    PeerChannels::Callbacks callbacks;
    callbacks.on_message = [this](ChannelKind, wire::Message&& message) { on_message(std::move(message)); };
    callbacks.on_bad_body = [this](ChannelKind, std::uint16_t type, const wire::DecodeError& error) {
        on_bad_body(type, error);
    };
    callbacks.on_broken = [this](const std::string& why) { end(why); };
    if (auto links = join_memory()) {
        channels_ = PeerChannels::over(loop_, bootstrap_, std::move(*links), std::move(callbacks));
    } else {
        auto connected = PeerChannels::connect(loop_, bootstrap_, PeerRole::rank, bootstrap_.rank,
                                               {ChannelKind::execution, ChannelKind::handler, ChannelKind::relay},
                                               std::move(callbacks));
        if (!connected) {
            log::error("rank " + std::to_string(bootstrap_.rank) + ": " + connected.error());
            return 1;
        }
        channels_ = std::move(*connected);
    }
    lane_ = std::make_unique<EventLane>();
    make_events();

    wire::Hello hello;
    hello.pid = listed_pid();
    hello.host = host_name();
    hello.local_rank = local_rank_;
    hello.world_size = bootstrap_.world_size;
    hello.library_version = RANKEXEC_VERSION;
    hello.capabilities = {wire::kZeromq};
    if (memory_) hello.capabilities.emplace_back(wire::kSharedMemory);
    if (stacks_wanted()) {
        sampler_ = std::make_unique<StackSampler>(loop_);
        hello.capabilities.emplace_back(wire::kStackReports);
    }
    send(ChannelKind::execution, std::move(hello));
    send(ChannelKind::handler, wire::Attach{});
    send(ChannelKind::relay, wire::Attach{});
    std::thread reactor([this] { loop_.run(); });

    int exit_code = 0;
    for (bool running = true; running;) {
        auto next = next_work();
        if (const auto* stop = std::get_if<Stop>(&next)) {
            exit_code = stop->exit_code;
            running = false;
        } else if (auto* initialise = std::get_if<wire::Initialise>(&next)) {
            work(std::move(*initialise));
        } else {
            work(std::move(std::get<wire::Execute>(next)));
        }
    }
    if (exit_code == 0) events_->flush(kLinger);
    events_->stop();
    lane_->request_stop("the rank is closing");
    lane_->join();
    loop_.post([this] { channels_->close(kLinger); });
    loop_.stop();
    reactor.join();
    sampler_.reset();
    engine_.reset();
    return exit_code;
}

std::optional<RankLinks> RankRuntime::join_memory() {
    if (bootstrap_.host_identity != host_identity() || !can_sleep_on_two()) return std::nullopt;
    // A parent that shares none does not listen.
    if (::access(handover_path(bootstrap_.run_directory).c_str(), F_OK) != 0) return std::nullopt;
    // A large segment is a second's work for the parent.
    const auto ask = [this](const HandoverWish& wish) { return receive_handover(bootstrap_, wish, kSegmentPatience); };
    auto received = receive_handover(bootstrap_);
    auto links = received ? take_links(*received) : tl::unexpected(received.error());
    auto joined = links ? RankMemory::accept(std::move(*received), bootstrap_.rank, bootstrap_.world_size, ask)
                        : tl::unexpected(links.error());
    if (!joined) {
        log::warning("no memory is shared with the parent, tasks come over ZeroMQ: " + joined.error());
        return std::nullopt;
    }
    memory_ = std::move(*joined);
    return std::move(*links);
}

void RankRuntime::make_events() {
    RankEvents::Hooks hooks;
    hooks.handle = [this](const wire::ParentEvent& message) { return handle(message); };
    hooks.on_handled = [this] {
        if (closing_) loop_.post([this] { close_when_handled(); });
    };
    hooks.send = [this](ChannelKind kind, const wire::Message& message) { return channels_->send(kind, message); };
    hooks.on_broken = [this](const std::string& why) { end(why); };
    events_ = std::make_shared<RankEvents>(loop_, *lane_, on_ring(bootstrap_, bootstrap_.rank), memory_.get(),
                                           std::move(hooks));
    lane_->set_source(events_);
}

/// What the reactor has for this thread, which comes first because a Stop may be among it; or a task from memory.
RankRuntime::Work RankRuntime::next_work() {
    for (;;) {
        // Before the queue is looked at: what is pushed after that ends the wait.
        const auto seen = interrupt_.value();
        {
            std::unique_lock lock(mutex_);
            if (!memory_ || memory_over_) changed_.wait(lock, [this] { return !work_.empty(); });
            if (!work_.empty()) {
                auto next = std::move(work_.front());
                work_.pop_front();
                by_memory_ = false;
                return next;
            }
        }
        if (!memory_->wait(interrupt_, seen)) continue;
        if (auto task = take_task()) return std::move(*task);
    }
}

/// The task that has come by memory; nothing when it cannot be understood, which has been told then.
std::optional<wire::Execute> RankRuntime::take_task() {
    auto read = memory_tasks_.read(memory_->receive());
    const auto broken = [this](const std::string& why) {
        memory_over_ = true;
        end("shared memory: " + why);
        return std::nullopt;
    };
    if (!read.broken.empty()) return broken(read.broken);
    if (read.bad_body) {
        on_bad_body(read.type, *read.bad_body);
        return std::nullopt;
    }
    if (!read.message) return std::nullopt;
    auto* const execute = std::get_if<wire::Execute>(&*read.message);
    if (execute == nullptr) return broken(std::string(wire::name_of(*read.message)) + " does not come by memory");
    admit(execute->task_id);
    by_memory_ = true;
    return std::move(*execute);
}

void RankRuntime::end(const std::string& why) {
    std::map<std::uint64_t, Signal> tasks;
    {
        const std::lock_guard lock(mutex_);
        if (ended_) return;
        ended_ = true;
        tasks = tasks_;
        work_.clear();
        work_.emplace_back(Stop{1});
    }
    wake_worker();
    log::warning("ending: " + why);
    for (const auto& [id, signal] : tasks) signal.trigger(why);
    events_->stop();
    lane_->request_stop(why);
}

void RankRuntime::on_message(wire::Message&& message) {
    if (auto* execute = std::get_if<wire::Execute>(&message)) {
        admit(execute->task_id);
        push(std::move(*execute));
    } else if (auto* event = std::get_if<wire::ParentEvent>(&message)) {
        events_->receive(std::move(*event));
    } else if (auto* handled = std::get_if<wire::EventHandled>(&message)) {
        events_->settle(std::move(*handled));
    } else if (auto* abort = std::get_if<wire::AbortTask>(&message)) {
        abort_task(abort->task_id, abort->reason);
    } else if (const auto* ask = std::get_if<wire::ReportStack>(&message)) {
        report_stack(ask->task_id);
    } else if (auto* initialise = std::get_if<wire::Initialise>(&message)) {
        push(std::move(*initialise));
    } else if (auto* close = std::get_if<wire::Close>(&message)) {
        closing_ = true;
        close_after_ = close->last_event;
        close_when_handled();
    }
}

/// From now on the task can be aborted; at once, if the abort has come first.
void RankRuntime::admit(std::uint64_t task_id) {
    std::optional<std::string> aborted;
    Signal signal;
    {
        const std::lock_guard lock(mutex_);
        last_task_ = std::max(last_task_, task_id);
        tasks_.emplace(task_id, signal);
        if (const auto found = aborted_.find(task_id); found != aborted_.end()) aborted = found->second;
        aborted_.erase(aborted_.begin(), aborted_.upper_bound(task_id));
    }
    if (aborted) signal.trigger(*aborted);
}

void RankRuntime::on_bad_body(std::uint16_t type, const wire::DecodeError& error) {
    static const auto kExecute = wire::Message(wire::Execute{}).index() + 1;
    static const auto kParentEvent = wire::Message(wire::ParentEvent{}).index() + 1;
    if (error.call && type == kExecute) {
        wire::Result result;
        result.task_id = *error.call;
        {
            const std::lock_guard lock(mutex_);
            last_task_ = std::max(last_task_, result.task_id);
            aborted_.erase(aborted_.begin(), aborted_.upper_bound(last_task_));
        }
        result.last_event = events_->last_fired();
        result.reply = Shareable::failed(failure_here(
            ReturnCode::execution_result_error, "the task cannot be understood: " + error.message, bootstrap_.rank));
        send(ChannelKind::execution, std::move(result));
    } else if (error.call && type == kParentEvent) {
        // In its turn, for the parent counts answers and Close waits for them.
        log::error("event dropped: " + error.message);
        wire::ParentEvent event;
        event.event_id = *error.call;
        events_->receive(std::move(event));
    } else {
        // There is no call to fail, so the parent could only wait for an answer.
        end(error.message);
    }
}

void RankRuntime::abort_task(std::uint64_t task_id, const std::string& reason) {
    std::optional<Signal> signal;
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = tasks_.find(task_id); found != tasks_.end()) {
            signal = found->second;
        } else if (task_id > last_task_) {
            aborted_.insert_or_assign(task_id, reason);
        }
    }
    if (signal) signal->trigger(reason);
}

void RankRuntime::report_stack(std::uint64_t task_id) {
    if (!sampler_) return;
    sampler_->request([this, task_id](StackSampler::Sample&& sample) {
        const wire::StackReport report{task_id, std::move(sample.frames), std::move(sample.missing)};
        if (const auto sent = channels_->send(ChannelKind::handler, report); !sent) log::error(sent.error());
    });
}

void RankRuntime::close_when_handled() {
    if (!closing_ || closed_ || events_->handled() < close_after_) return;
    closed_ = true;
    std::map<std::uint64_t, Signal> tasks;
    {
        const std::lock_guard lock(mutex_);
        tasks = tasks_;
    }
    for (const auto& [id, signal] : tasks) signal.trigger("the group is closing");
    push(Stop{0});
}

void RankRuntime::work(wire::Initialise&& message) {
    wire::Initialised answer;
    try {
        if (engine_) throw std::logic_error("a rank can be initialised only once");
        engine_ = std::make_unique<Engine>();
        if (memory_) engine_->set_tensor_allocator([this](std::size_t size) { return lend(size); });
        Context context = engine_->new_context();
        context.set(property::kRank, bootstrap_.rank, Visibility::private_, Lifetime::sticky);
        context.set(property::kWorldSize, bootstrap_.world_size, Visibility::private_, Lifetime::sticky);
        context.set(property::kLocalRank, local_rank_, Visibility::private_, Lifetime::sticky);
        build_components(*engine_, registry_, message.components);
        if (!message.executor_id.empty()) executor_ = &engine_->executor(message.executor_id);
        engine_->add("rankexec.relay", std::make_unique<Relay>(*this));
        initialised_ = true;
    } catch (...) {
        answer.failure = exception_here(ReturnCode::initialisation_error, bootstrap_.rank);
    }
    send(ChannelKind::execution, std::move(answer));
}

/// Of a tensor that is too small for it, the bytes are copied into the message.
LentMemory RankRuntime::lend(std::size_t size) {
    auto block = size >= kArenaThreshold ? memory_->allocate(size) : nullptr;
    return block ? LentMemory{*block, block} : LentMemory{};
}

void RankRuntime::work(wire::Execute&& message) {
    Signal abort;
    {
        const std::lock_guard lock(mutex_);
        abort = tasks_.at(message.task_id);
    }
    wire::Result result;
    result.task_id = message.task_id;
    failed_at_ = 0;
    if (!initialised_) {
        result.reply = Shareable::failed(failure_here(ReturnCode::not_ready, "not initialised", bootstrap_.rank));
    } else {
        Context context = context_from(std::move(message.context));
        result.reply = execute(message, context, abort);
        result.changes = context.changes();
    }
    result.failed_at = failed_at_;
    if (message.results != wire::ResultsWanted::all && bootstrap_.rank != 0) {
        result.reply.headers.clear();
        result.reply.body = {};
        result.reply.tensors.clear();
    }
    send_result(std::move(result));
}

/// By the way on which the task has come, if all is well and the result fits there. A failure must be heard at once,
/// while the parent may be asleep until another rank has answered.
bool RankRuntime::send_by_memory(const wire::Result& result) {
    if (!by_memory_ || memory_over_ || !result.reply.ok()) return false;
    const auto frames = memory_results_.encode(result);
    // What is over the limits, or larger than the ring, is told or sent by the reactor.
    if (!frames || !memory_->send(*frames)) return false;
    memory_results_.sent();
    return true;
}

void RankRuntime::send_result(wire::Result result) {
    if (by_memory_) {
        {
            const std::lock_guard lock(mutex_);
            tasks_.erase(result.task_id);
        }
        result.last_event = events_->last_fired();
        if (send_by_memory(result)) return;
    }
    // The task is over for an abort only when its result is on its way.
    loop_.post([this, result = std::move(result)]() mutable {
        {
            const std::lock_guard lock(mutex_);
            tasks_.erase(result.task_id);
        }
        result.last_event = events_->last_fired();
        const auto sent = channels_->send(ChannelKind::execution, result);
        if (sent) return;
        wire::Result failed;
        failed.task_id = result.task_id;
        failed.last_event = result.last_event;
        failed.reply = Shareable::failed(failure_here(ReturnCode::execution_result_error,
                                                      "the result cannot be sent: " + sent.error(), bootstrap_.rank));
        (void)channels_->send(ChannelKind::execution, failed);
    });
}

Shareable RankRuntime::execute(const wire::Execute& message, Context& context, const Signal& abort) {
    const ScopedCause cause({message.task_id, 0});
    if (executor_ == nullptr) {
        return Shareable::failed(failure_here(ReturnCode::task_unknown,
                                              "the group has no executor: executor_id is not set", bootstrap_.rank));
    }
    if (abort.triggered()) {
        return Shareable::failed(failure_here(ReturnCode::task_aborted, abort.reason(), bootstrap_.rank));
    }
    try {
        auto reply = executor_->execute(message.task, message.input, context, abort);
        if (!reply.ok()) {
            // A failure from user code names its rank like any other.
            if (!reply.failure) reply.failure = Failure{};
            reply.failure->code = reply.code;
            if (reply.failure->message.empty()) {
                reply.failure->message = "task \"" + message.task + "\": " + std::string(to_string(reply.code));
            }
            reply.failure->rank = bootstrap_.rank;
            reply.failure->host = host_name();
            reply.failure->pid = listed_pid();
        }
        return reply;
    } catch (...) {
        failed_at_ = static_cast<std::uint64_t>(time_of_throw());
        return Shareable::failed(exception_here(ReturnCode::execution_exception, bootstrap_.rank));
    }
}

ContextChanges RankRuntime::handle(const wire::ParentEvent& message) {
    if (!initialised_) {
        log::error("event " + message.type + " came before the components were built");
        return {};
    }
    const ScopedCause cause({0, message.event_id});
    Context context = context_from(message.context);
    engine_->deliver_event(message.type, context, EventOrigin::parent, -1, message.one_way);
    return message.want_changes && bootstrap_.rank == 0 ? context.changes() : ContextChanges{};
}

void RankRuntime::relay(const std::string& type, Context& context) {
    wire::FireEvent message;
    message.type = type;
    message.task_id = current_cause.task_id;
    message.parent_event = current_cause.parent_event;
    message.changes = context.changes();
    const auto one_way = context.get(property::kOneWay);
    message.one_way = one_way && one_way->boolean_or(false);
    context.apply(events_->fire(std::move(message)));
}

/// The message holds the whole context: what it lacks is gone, sticky or not.
Context RankRuntime::context_from(PropertyMap properties) const {
    static constexpr std::array kOwn{property::kRank, property::kWorldSize, property::kLocalRank};
    return engine_->received_context(std::move(properties), kOwn);
}

void RankRuntime::send(ChannelKind kind, wire::Message message) {
    loop_.post([this, kind, message = std::move(message)] {
        if (const auto sent = channels_->send(kind, message); !sent) log::error(sent.error());
    });
}

void RankRuntime::wake_worker() {
    changed_.notify_all();
    interrupt_.ring();
}

void RankRuntime::push(Work work) {
    {
        const std::lock_guard lock(mutex_);
        if (ended_) return;
        work_.push_back(std::move(work));
    }
    wake_worker();
}

}  // namespace rankexec::worker
