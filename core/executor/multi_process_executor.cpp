// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/multi_process_executor.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/executor/group_session.hpp"
#include "rankexec/core/executor/output_pump.hpp"
#include "rankexec/core/model/event_type.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/resources.hpp"
#include "rankexec/ipc/channel/event_lane.hpp"

namespace rankexec {
namespace {

/// Longer times are meant as "for ever", and would not fit into a clock's.
constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24 * 365 * 10);

using Clock = std::chrono::steady_clock;

/// For a reader of the ranks' output to take the last of it; a stuck one must not hold up the end.
constexpr std::chrono::milliseconds kDrain{2000};

/// Reactor, lane and output; libzmq's two; and the one that hands out shared memory.
constexpr std::size_t kThreadsOfAGroup = 6;

/// The executor whose rank's event the calling thread is handling; that event must not go back.
thread_local const void* dispatching_for = nullptr;

void check_components(const MultiProcessOptions& options) {
    using Kind = ConfigurationError::Kind;
    std::set<std::string> ids;
    for (const auto& spec : options.components) {
        if (spec.id.empty()) {
            throw ConfigurationError(Kind::component_id_missing,
                                     "a component of type \"" + spec.type + "\" has no id; give every component one");
        }
        if (!ids.insert(spec.id).second) {
            throw ConfigurationError(Kind::component_id_duplicate,
                                     "two components have the id \"" + spec.id + "\"; ids must be unique");
        }
        if (spec.type.empty()) {
            throw ConfigurationError(Kind::component_type_unknown, "component \"" + spec.id + "\" has no type");
        }
    }
    if (!options.executor_id.empty() && !ids.contains(options.executor_id)) {
        throw ConfigurationError(Kind::executor_id_unknown,
                                 "executor_id \"" + options.executor_id + "\" names no component");
    }
    for (const auto& [name, time] : {std::pair{"ready_timeout", options.ready_timeout},
                                     {"event_timeout", options.event_timeout},
                                     {"end_run_timeout", options.end_run_timeout}}) {
        if (time.count() <= 0) throw ConfigurationError(Kind::option, std::string(name) + " must be above 0");
    }
    if (options.abort_grace.count() < 0) throw ConfigurationError(Kind::option, "abort_grace is negative");
    if (options.queue_limit == 0) throw ConfigurationError(Kind::option, "queue_limit must be at least 1");
}

MultiProcessOptions bounded(MultiProcessOptions options) {
    for (auto* time : {&options.ready_timeout, &options.event_timeout, &options.end_run_timeout, &options.abort_grace})
        *time = std::min(*time, kLongest);
    return options;
}

}  // namespace

/// Threads: the reactor owns the session and its sockets; the lane handles the ranks' events; the
/// pump hands their output on; callers wait. Everything that touches the session is posted to the loop.
class MultiProcessExecutor::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(MultiProcessExecutor& owner, MultiProcessOptions options)
        : owner_(owner), options_(bounded(std::move(options))) {}

    ~Impl() {
        if (!reactor_.joinable()) return;
        lane_->request_stop("the executor is destroyed");
        lane_->join();
        pump_.reset();  // its acknowledgements are posted to the loop
        loop_->post([this] { session_.reset(); });
        loop_->stop();
        reactor_.join();
    }

    tl::expected<void, Failure> initialise(Context& context, const Signal& abort) {
        auto ready = std::make_shared<std::promise<tl::expected<void, Failure>>>();
        auto result = ready->get_future();
        {
            const std::lock_guard lock(mutex_);
            if (up_ || quiet_) {
                Failure failure;
                failure.code = ReturnCode::bad_request_data;
                failure.message = quiet_ ? "the executor's engine is being destroyed"
                                         : "the executor has a group already; finalise it first";
                return tl::unexpected(failure);
            }
            up_ = true;
            if (auto started = start_threads(); !started) {
                up_ = false;
                return started;
            }
            // Posted under the lock, so that no task or event reaches the loop before its session.
            loop_->post([this, context, ready] {
                session_ = std::make_unique<GroupSession>(*loop_, options_, ++incarnation_, turn_, *lane_, hooks());
                session_->launch(
                    context, [ready](tl::expected<void, Failure> outcome) { ready->set_value(std::move(outcome)); });
            });
        }
        const auto subscription = abort.on_trigger([this](const std::string& reason) {
            loop_->post([this, reason] {
                if (!session_) return;
                if (session_->state() == GroupState::ready) return;
                Failure failure;
                failure.code = ReturnCode::task_aborted;
                failure.message = "initialisation was aborted: " + reason;
                session_->give_up(std::move(failure));
            });
        });
        auto outcome = result.get();
        // The group that could not be made ready is gone before the error is returned.
        if (!outcome) finalise();
        return outcome;
    }

    void finalise() {
        auto gone = std::make_shared<std::promise<void>>();
        auto done = gone->get_future();
        {
            const std::lock_guard lock(mutex_);
            if (!up_) return;
        }
        loop_->post([this, gone] {
            const auto finish = [this, gone] {
                {
                    const std::lock_guard lock(mutex_);
                    up_ = false;
                }
                gone->set_value();
            };
            if (session_) {
                session_->close(finish);
            } else {
                finish();
            }
        });
        // From a handler: the group's end may need this very thread's answer.
        if (lane_->on_lane()) return;
        done.wait();
        // Events that the ranks fired last.
        lane_->flush(kDrain);
        pump_->drain(kDrain);
    }

    void quiesce() {
        {
            const std::lock_guard lock(mutex_);
            quiet_ = true;
            if (!reactor_.joinable()) return;
        }
        finalise();
        if (lane_->on_lane()) return;  // a handler called, which cannot wait for itself
        // A handler may still be running; what it waits for ends with an error.
        lane_->request_stop("the engine is being destroyed");
        lane_->join();
    }

    GroupReply execute(const std::string& name, const Shareable& input, const Context& context, const Signal& abort,
                       const ExecuteOptions& options) {
        auto lane = [this] {
            const std::lock_guard lock(mutex_);
            return fast_lane_;
        }();
        if (!lane || abort.triggered() || !turn_.take_lane()) {
            return request_execute(name, input, context, abort, options).get();
        }
        auto reply = lane->run(make_task(name, input, context, options), abort);
        if (lane->closed()) {
            // What the next group was given meanwhile has waited for this task, and the lane is none of that group's.
            loop_->post([this] {
                if (session_) session_->start_next_task();
            });
        }
        return reply;
    }

    std::future<GroupReply> request_execute(std::string name, Shareable input, Context context, const Signal& abort,
                                            const ExecuteOptions& options) {
        auto promise = std::make_shared<std::promise<GroupReply>>();
        auto future = promise->get_future();
        auto task = make_task(std::move(name), std::move(input), std::move(context), options);
        if (abort.triggered()) {
            GroupReply reply;
            reply.reply = Shareable::failed(ReturnCode::task_aborted, abort.reason());
            promise->set_value(std::move(reply));
            return future;
        }
        {
            const std::lock_guard lock(mutex_);
            if (!reactor_.joinable()) {
                GroupReply reply;
                reply.reply = Shareable::failed(ReturnCode::not_ready, "no group is up; initialise first");
                promise->set_value(std::move(reply));
                return future;
            }
        }
        const auto id = task.id;
        // Lives until the task is done; its callback only posts.
        auto subscription = std::make_shared<Signal::Subscription>();
        turn_.submit();
        task.on_done = [this, promise, subscription](GroupReply&& reply) {
            turn_.done();
            promise->set_value(std::move(reply));
        };
        loop_->post(
            [this, task = std::make_shared<GroupTask>(std::move(task))] { session_->submit(std::move(*task)); });
        const std::weak_ptr<Impl> weak = weak_from_this();
        *subscription = abort.on_trigger([weak, id](const std::string& reason) {
            const auto self = weak.lock();
            if (!self) return;
            self->loop_->post([impl = self.get(), id, reason] {
                if (impl->session_) impl->session_->abort_task(id, reason.empty() ? "aborted" : reason);
            });
        });
        return future;
    }

    [[nodiscard]] LentMemory lend(std::size_t size) {
        const auto lane = [this] {
            const std::lock_guard lock(mutex_);
            return fast_lane_;
        }();
        auto block = lane && size >= kArenaThreshold ? lane->memory().allocate(size) : nullptr;
        return block ? LentMemory{*block, block} : LentMemory{};
    }

    /// Passes an event of the parent on to the ranks and waits for rank 0's answer, or for everyone's.
    void pass_event(const std::string& type, Context& context, bool all_ranks, std::chrono::milliseconds timeout) {
        std::shared_ptr<GroupEvents> events;
        {
            const std::lock_guard lock(mutex_);
            if (!up_) return;
            events = events_;
        }
        if (lane_->depth() >= EventLane::kMaxDepth) {
            throw std::runtime_error("events are nested deeper than " + std::to_string(EventLane::kMaxDepth));
        }
        const auto answer = std::make_shared<PendingAnswer>();
        const auto one_way = context.get(property::kOneWay);
        GroupEvents::Event event;
        event.type = type;
        event.context = context;
        event.all_ranks = all_ranks;
        event.one_way = !all_ranks && one_way && one_way->boolean_or(false);
        event.on_done = [this, answer](ContextChanges&& changes, std::string error) {
            lane_->settle(answer, std::move(changes), std::move(error));
        };
        const bool answered = !event.one_way;
        std::uint64_t id = 0;
        if (events) {
            id = events->fire(std::move(event));
        } else {
            event.on_done({}, "no group is up");
        }
        lane_->wait(answer, Clock::now() + timeout);
        if (answer->error.empty()) {
            if (answered) context.apply(answer->changes);
        } else {
            if (events) events->forget(id);
            log::warning("event " + type + " was not handled by the ranks: " + answer->error);
        }
    }

    [[nodiscard]] bool is_up() {
        const std::lock_guard lock(mutex_);
        return up_;
    }

    [[nodiscard]] bool on_lane() const { return lane_ && lane_->on_lane(); }

    GroupReport report() {
        auto promise = std::make_shared<std::promise<GroupReport>>();
        auto future = promise->get_future();
        {
            const std::lock_guard lock(mutex_);
            if (!reactor_.joinable()) return {};
        }
        loop_->post([this, promise] {
            GroupReport report;
            if (session_) session_->report(report);
            promise->set_value(std::move(report));
        });
        return future.get();
    }

    [[nodiscard]] const MultiProcessOptions& options() const { return options_; }

private:
    /// With mutex_ held. Threads start with the first group and stay until the executor goes.
    tl::expected<void, Failure> start_threads() {
        if (reactor_.joinable()) return {};
        if (const auto lack = lack_of_address_space(kThreadsOfAGroup)) return tl::unexpected(not_started(*lack));
        try {
            make_threads();
            return {};
        } catch (const std::exception& error) {
            // Descriptors, threads or memory have run out; what was made of the three goes again.
            pump_.reset();
            lane_.reset();
            loop_.reset();
            return tl::unexpected(
                not_started(std::string(error.what()) +
                            "; raise the limits of open files, processes or memory (ulimit -n, -u, -v)"));
        }
    }

    static Failure not_started(const std::string& why) {
        Failure failure;
        failure.code = ReturnCode::launch_error;
        failure.message = "the executor's threads could not be started: " + why;
        return failure;
    }

    void make_threads() {
        loop_ = std::make_unique<EventLoop>();
        lane_ = std::make_unique<EventLane>();
        pump_ =
            std::make_unique<OutputPump>(options_.on_output ? options_.on_output : OutputPump::to_standard_streams(),
                                         [this](int rank, std::size_t bytes) {
                                             loop_->post([this, rank, bytes] {
                                                 if (session_) session_->acknowledge_output(rank, bytes);
                                             });
                                         });
        reactor_ = std::thread([this] { loop_->run(); });
    }

    GroupTask make_task(std::string name, Shareable input, Context context, const ExecuteOptions& options) {
        GroupTask task;
        task.id = ++last_task_;
        task.name = std::move(name);
        task.input = std::move(input);
        task.context = std::move(context);
        task.options = options;
        if (options.deadline > kLongest) task.options.deadline = std::chrono::milliseconds(0);
        if (task.options.deadline.count() > 0) task.deadline = Clock::now() + task.options.deadline;
        return task;
    }

    GroupSession::Hooks hooks() {
        GroupSession::Hooks hooks;
        hooks.handle_event = [this](int rank, const wire::FireEvent& event, Context& context) {
            return handle_rank_event(rank, event, context);
        };
        hooks.on_output = [this](wire::RankOutput&& output) { pump_->push(std::move(output)); };
        hooks.on_lane = [this](std::shared_ptr<FastLane> lane) {
            const std::lock_guard lock(mutex_);
            fast_lane_ = std::move(lane);
        };
        hooks.on_events = [this](std::shared_ptr<GroupEvents> events) {
            const std::lock_guard lock(mutex_);
            events_ = std::move(events);
        };
        return hooks;
    }

    /// On the lane. The rank's changes come first, so that the handlers see them.
    wire::EventHandled handle_rank_event(int rank, const wire::FireEvent& event, Context& context) {
        wire::EventHandled answer;
        answer.event_id = event.event_id;
        if (event.type.empty()) return answer;
        // Taken with the changes at once: the thread that fired the parent's event may be applying rank 0's by now.
        Context own = context.clone_with(event.changes);
        if (lane_->depth() >= EventLane::kMaxDepth) {
            answer.error = "events are nested deeper than " + std::to_string(EventLane::kMaxDepth);
        } else if (owner_.in_engine()) {
            const auto* former = std::exchange(dispatching_for, this);
            owner_.engine().deliver_event(event.type, own, EventOrigin::rank, rank, event.one_way);
            dispatching_for = former;
            answer.changes = own.changes();
            context.apply(answer.changes);
        }
        return answer;
    }

    friend class MultiProcessExecutor;
    MultiProcessExecutor& owner_;
    const MultiProcessOptions options_;
    std::uint32_t incarnation_ = 0;  ///< reactor thread
    std::atomic<std::uint64_t> last_task_{0};
    TaskTurn turn_;
    std::mutex mutex_;                     ///< guards up_, the start of the threads and
    std::shared_ptr<FastLane> fast_lane_;  ///< what execute() takes, when there is one
    std::shared_ptr<GroupEvents> events_;  ///< where events are fired; nullptr: no group is ready
    bool quiet_ = false;                   ///< quiesced
    bool up_ = false;                      ///< a group exists that has not been finalised
    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<EventLane> lane_;
    std::unique_ptr<OutputPump> pump_;
    std::thread reactor_;
    std::unique_ptr<GroupSession> session_;  ///< reactor thread
};

MultiProcessExecutor::MultiProcessExecutor(MultiProcessOptions options) {
    check_group_options(options.group);
    check_components(options);
    impl_ = std::make_shared<Impl>(*this, std::move(options));
}

MultiProcessExecutor::~MultiProcessExecutor() { impl_->finalise(); }

tl::expected<void, Failure> MultiProcessExecutor::initialise(Context& context, const Signal& abort) {
    return impl_->initialise(context, abort);
}

void MultiProcessExecutor::finalise() { impl_->finalise(); }

void MultiProcessExecutor::quiesce() { impl_->quiesce(); }

void MultiProcessExecutor::handle_event(const std::string& type, Context& context) {
    if (type == event::kStartRun) {
        if (const auto ready = impl_->is_up() ? tl::expected<void, Failure>() : initialise(context); !ready) {
            log::error("start_run: " + ready.error().describe());
            context.set("panic_reason", ready.error().message);
            if (in_engine()) fire_event(std::string(event::kSystemPanic), context);
            return;
        }
        impl_->pass_event(type, context, false, impl_->options().event_timeout);
    } else if (type == event::kEndRun) {
        impl_->pass_event(type, context, true, impl_->options().end_run_timeout);
        finalise();
    } else if (context.text_or(property::kEventOrigin, "local") != "rank" || dispatching_for != impl_.get()) {
        impl_->pass_event(type, context, false, impl_->options().event_timeout);
    }
}

Shareable MultiProcessExecutor::execute(const std::string& task, const Shareable& input, Context& context,
                                        const Signal& abort) {
    return execute(task, input, context, abort, {}).reply;
}

GroupReply MultiProcessExecutor::execute(const std::string& task, const Shareable& input, Context& context,
                                         const Signal& abort, const ExecuteOptions& options) {
    if (impl_->on_lane()) {
        GroupReply reply;
        reply.reply = Shareable::failed(ReturnCode::bad_request_data,
                                        "execute was called by a handler of a rank's event, which that rank's task may "
                                        "be waiting for; use request_execute there");
        return reply;
    }
    return impl_->execute(task, input, context, abort, options);
}

std::future<GroupReply> MultiProcessExecutor::request_execute(std::string task, Shareable input, Context context,
                                                              const Signal& abort, ExecuteOptions options) {
    return impl_->request_execute(std::move(task), std::move(input), std::move(context), abort, options);
}

TensorBuffer MultiProcessExecutor::allocate(DType dtype, Shape shape) const {
    return TensorBuffer::make(dtype, std::move(shape), [this](std::size_t size) { return impl_->lend(size); });
}

GroupReport MultiProcessExecutor::report() const { return impl_->report(); }

}  // namespace rankexec
