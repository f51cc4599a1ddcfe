// SPDX-License-Identifier: Apache-2.0
// The group's life: launch, readiness, loss, end. Tasks and events are in group_session_work.cpp.
#include "rankexec/core/executor/group_session.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

#include "rankexec/core/model/rank_list.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/ipc/transport/transport_server.hpp"

namespace rankexec {
GroupSession::GroupSession(EventLoop& loop, const MultiProcessOptions& options, std::uint32_t incarnation,
                           TaskTurn& turn, EventLane& event_lane, Hooks hooks)
    : loop_(loop),
      options_(options),
      incarnation_(incarnation),
      turn_(turn),
      event_lane_(event_lane),
      hooks_(std::move(hooks)),
      ranks_(static_cast<std::size_t>(options.group.world_size)),
      tails_([this](const wire::ReportTail& ask) {
          if (group_) group_->ask_for_tail(ask);
      }) {}

GroupSession::~GroupSession() {
    for (const auto timer : {ready_timer_, loss_timer_, end_timer_}) loop_.cancel(timer);
    if (open_) drop_timers(*open_);
    for (const auto& task : queue_) loop_.cancel(task.deadline_timer);
    if (lane_) lane_->detach();
    if (events_) events_->detach();
}

void GroupSession::launch(Context context, std::function<void(tl::expected<void, Failure>)> on_ready) {
    on_ready_ = std::move(on_ready);
    context_ = std::move(context);
    initialise_ = {context_.serialisable(), options_.components, options_.executor_id};
    advance(GroupEvent::launch);
    RankGroup::Callbacks callbacks;
    callbacks.on_listening = [this](TransportServer& transport) { offer_memory(transport.bootstrap()); };
    callbacks.on_started = [this](const wire::RankStarted& report) {
        auto& rank = rank_at(report.rank);
        rank.pid = report.pid;
        rank.host = report.host;
    };
    callbacks.on_output = [this](wire::RankOutput&& output) {
        // Once the group is being ended, the launcher command only talks about our own orders.
        const bool ending =
            state_ == GroupState::failing || state_ == GroupState::closing || state_ == GroupState::ending;
        if (output.rank >= 0 || !ending) return hooks_.on_output(std::move(output));
        if (group_) group_->acknowledge_output(output.rank, output.bytes.size());
    };
    callbacks.on_output_end = [this](const wire::RankOutputEnd& end) {
        if (log_error_.empty()) log_error_ = end.log_error;
    };
    callbacks.on_exited = [this](const wire::RankExited& report) { on_rank_exited(report); };
    callbacks.on_tail = [this](wire::TailReport&& report) { on_tail(std::move(report)); };
    callbacks.on_lost = [this](const Failure& failure) { note_loss(FirstCause::Kind::other, failure); };
    callbacks.on_ended = [this](const wire::SupervisionEnded& report) { on_group_ended(report); };
    auto started = RankGroup::start(loop_, options_.group, std::move(callbacks), true, incarnation_);
    if (!started) {
        close_lane();
        memory_server_.reset();
        memory_.reset();
        failure_ = started.error();
        complete(*failure_);
        fail_everything(*failure_);
        advance(GroupEvent::gone);
        return;
    }
    group_ = std::move(*started);

    const auto callbacks_for = [this](void (GroupSession::*receive)(int, wire::Message&&)) {
        ParentChannel::Callbacks made;
        made.on_message = [this, receive](int rank, wire::Message&& message) {
            (this->*receive)(rank, std::move(message));
        };
        made.on_violation = [this](int rank, const std::string& why) { on_violation(rank, why); };
        made.on_bad_body = made.on_violation;
        return made;
    };
    auto& transport = *group_->transport();
    const int size = options_.group.world_size;
    execution_.emplace(transport, ChannelKind::execution, size, callbacks_for(&GroupSession::on_execution));
    handler_.emplace(transport, ChannelKind::handler, size, callbacks_for(&GroupSession::on_handler));
    relay_.emplace(transport, ChannelKind::relay, size, callbacks_for(&GroupSession::on_relay));

    ready_timer_ = loop_.call_after(options_.ready_timeout, [this] {
        Failure failure;
        failure.code = ReturnCode::initialisation_error;
        for (int rank = 0; rank < options_.group.world_size; ++rank) {
            if (!rank_at(rank).connected()) failure.ranks.push_back(rank);
        }
        if (failure.ranks.empty()) {
            for (int rank = 0; rank < options_.group.world_size; ++rank) {
                if (!rank_at(rank).initialised) failure.ranks.push_back(rank);
            }
            failure.message = name_ranks(failure.ranks, " has not built its components within ",
                                         " have not built their components within ") +
                              std::to_string(options_.ready_timeout.count()) + " ms";
        } else {
            failure.message = name_ranks(failure.ranks, " has not said hello within ", " have not said hello within ") +
                              std::to_string(options_.ready_timeout.count()) +
                              " ms; is their program a rankexec worker?";
        }
        give_up(std::move(failure));
    });
}

bool GroupSession::advance(GroupEvent event) {
    const auto next = next_state(state_, event);
    if (!next) return false;
    log::debug("group " + std::to_string(incarnation_) + ": " + std::string(to_string(state_)) + " --" +
               std::string(to_string(event)) + "--> " + std::string(to_string(*next)));
    state_ = *next;
    if (state_ == GroupState::ready) {
        loop_.cancel(ready_timer_);
        open_lane();
        hooks_.on_events(events_);
        if (auto callback = std::exchange(on_ready_, nullptr)) callback({});
    }
    if (state_ == GroupState::idle || state_ == GroupState::failed) {
        for (auto& callback : std::exchange(on_gone_, {})) callback();
    }
    if (hooks_.on_state) hooks_.on_state(state_);
    return true;
}

// ---- readiness ----------------------------------------------------------------------------------

/// Without it, or when a rank cannot take it, everything goes over ZeroMQ.
void GroupSession::offer_memory(const Bootstrap& bootstrap) {
    share_memory(bootstrap);
    take_events(bootstrap);
}

void GroupSession::take_events(const Bootstrap& bootstrap) {
    GroupEvents::Hooks hooks;
    hooks.handle = hooks_.handle_event;
    hooks.send_answer = [this](int rank, const wire::EventHandled& answer) {
        if (relay_) send(*relay_, rank, answer);
    };
    hooks.send_event = [this](const wire::EncodedBody& to_first, const wire::EncodedBody& to_others) {
        send_event(to_first, to_others);
    };
    hooks.on_handled = [this] { finish_task_if_complete(); };
    hooks.on_violation = [this](int rank, const std::string& why) { on_violation(rank, why); };
    events_ = std::make_shared<GroupEvents>(loop_, event_lane_,
                                            RingIdentity{bootstrap.run_id, bootstrap.incarnation, wire::kAllRanks},
                                            options_.group.world_size, context_, memory_, std::move(hooks));
    event_lane_.set_source(events_);
}

void GroupSession::share_memory(const Bootstrap& bootstrap) {
    if (options_.transport == Transport::zeromq || !can_sleep_on_two()) return;
    auto sizes = ParentMemory::sizes_for(options_.group.world_size);
    sizes.payload_bytes = options_.shared_memory_limit;
    auto memory = ParentMemory::create(options_.group.world_size, sizes);
    if (!memory) return log::info("no shared memory for tasks: " + memory.error());
    FastLane::Hooks hooks;
    hooks.adopt = [this](GroupTask&& task, RankResults&& results, bool sent) {
        adopt(std::move(task), std::move(results), sent);
    };
    hooks.abort = [this](std::uint64_t id, const std::string& reason) { abort_task(id, reason); };
    hooks.on_result = [this](int rank, wire::Result&& result) { on_result(rank, std::move(result)); };
    hooks.on_turn = [this] { start_next_task(); };
    hooks.on_violation = [this](int rank, const std::string& why) { on_violation(rank, why); };
    auto on_linked = [this, &loop = loop_, alive = std::weak_ptr(alive_)](int rank, RankLinks links) {
        loop.post([this, alive, rank, links = std::make_shared<RankLinks>(std::move(links))] {
            if (!alive.expired()) adopt_links(rank, std::move(*links));
        });
    };
    auto server = MemoryServer::start(bootstrap, *memory, std::move(on_linked));
    if (!server) return log::info("no shared memory for tasks: " + server.error());
    memory_server_ = std::move(*server);
    memory_ = std::move(*memory);
    lane_ = std::make_shared<FastLane>(
        loop_, turn_, memory_, FastLane::Identity{bootstrap.run_id, bootstrap.incarnation, options_.group.world_size},
        std::move(hooks));
}

/// What the rank has said by now waits in them.
void GroupSession::adopt_links(int rank, RankLinks links) {
    if (!group_) return;
    try {
        group_->transport()->adopt(rank, std::move(links));
    } catch (const std::system_error& error) {
        note_loss(FirstCause::Kind::other, failure_of_rank(rank, code_of_loss(),
                                                           "the connections of rank " + std::to_string(rank) +
                                                               " cannot be served: " + error.what()));
    }
}

void GroupSession::open_lane() {
    const auto without = std::ranges::find_if_not(ranks_, &Rank::has_memory);
    events_->open(without == ranks_.end());
    if (!lane_) return;
    lane_->set_events(events_);
    if (without == ranks_.end()) return hooks_.on_lane(lane_);
    log::info("rank " + std::to_string(without - ranks_.begin()) + " shares no memory with us; tasks go over ZeroMQ");
    close_lane();
}

/// Its memory is returned, but for what callers still hold.
void GroupSession::close_lane() {
    if (lane_) std::exchange(lane_, nullptr)->detach();
}

void GroupSession::on_execution(int rank, wire::Message&& message) {
    if (auto* hello = std::get_if<wire::Hello>(&message)) {
        on_hello(rank, std::move(*hello));
    } else if (auto* initialised = std::get_if<wire::Initialised>(&message)) {
        on_initialised(rank, std::move(*initialised));
    } else if (auto* result = std::get_if<wire::Result>(&message)) {
        on_result(rank, std::move(*result));
    }
}

void GroupSession::on_handler(int rank, wire::Message&& message) {
    if (auto* done = std::get_if<wire::EventDone>(&message)) {
        events_->done(rank, std::move(*done));
        return;
    }
    if (auto* stack = std::get_if<wire::StackReport>(&message)) {
        on_stack(rank, std::move(*stack));
        return;
    }
    rank_at(rank).handler_attached = true;
    on_attached(rank);
}

void GroupSession::on_relay(int rank, wire::Message&& message) {
    if (auto* event = std::get_if<wire::FireEvent>(&message)) {
        events_->receive(rank, std::move(*event));
        return;
    }
    rank_at(rank).relay_attached = true;
    on_attached(rank);
}

void GroupSession::on_hello(int rank, wire::Hello&& hello) {
    auto& entry = rank_at(rank);
    if (entry.hello) {
        on_violation(rank, "it said hello twice");
        return;
    }
    if (hello.world_size != options_.group.world_size) {
        on_violation(rank, "it believes that there are " + std::to_string(hello.world_size) + " ranks");
        return;
    }
    entry.hello = true;
    entry.pid = hello.pid;
    entry.host = std::move(hello.host);
    const auto has = [&](const char* capability) {
        return std::ranges::find(hello.capabilities, capability) != hello.capabilities.end();
    };
    entry.reports_stacks = has(wire::kStackReports);
    entry.has_memory = has(wire::kSharedMemory) && memory_ && memory_->has(rank);
    if (entry.has_memory) events_->add_rank(rank);
    on_attached(rank);
}

void GroupSession::on_attached(int rank) {
    if (!rank_at(rank).connected()) return;
    // At once, so that components are built on the early ranks while the late ones connect.
    send(*execution_, rank, initialise_);
    if (std::ranges::all_of(ranks_, [](const Rank& entry) { return entry.connected(); })) {
        advance(GroupEvent::all_hello);
        if (std::ranges::all_of(ranks_, [](const Rank& entry) { return entry.initialised; })) {
            advance(GroupEvent::all_initialised);
        }
    }
}

void GroupSession::on_initialised(int rank, wire::Initialised&& message) {
    if (message.failure) {
        auto failure = std::move(*message.failure);
        failure.rank = rank;
        failure.code = ReturnCode::initialisation_error;
        tails_.ask(rank);
        note_loss(FirstCause::Kind::exception, std::move(failure));
        return;
    }
    rank_at(rank).initialised = true;
    if (std::ranges::all_of(ranks_, [](const Rank& entry) { return entry.initialised; })) {
        advance(GroupEvent::all_initialised);
        start_next_task();
    }
}

// ---- loss ---------------------------------------------------------------------------------------

void GroupSession::on_violation(int rank, const std::string& why) {
    note_loss(FirstCause::Kind::other,
              failure_of_rank(rank, code_of_loss(),
                              "rank " + std::to_string(rank) + " does not follow the protocol: " + why));
}

void GroupSession::on_rank_exited(const wire::RankExited& report) {
    auto& entry = rank_at(report.rank);
    entry.exited = true;
    if (state_ == GroupState::closing && !report.by_us && !report.status.success() && !end_failure_) {
        end_failure_ = failure_of_death(report, ReturnCode::execution_exception);
        complete(*end_failure_);
        end_failure_->message = "rank " + std::to_string(report.rank) + " ended (" + to_string(report.status) +
                                ") when it was told to close";
        log::warning(end_failure_->message);
    }
    if (state_ == GroupState::closing || state_ == GroupState::ending) {
        if (std::ranges::all_of(ranks_, [](const Rank& rank) { return rank.exited; })) {
            // Nothing is left to wait for but a launcher that may linger.
            loop_.cancel(end_timer_);
            if (group_) group_->request_end(options_.group.grace);
        }
        return;
    }
    if (report.by_us) return;
    if (entry.pid == 0) {
        auto failure = failure_of_death(report, ReturnCode::launch_error);
        failure.message = "rank " + std::to_string(report.rank) + " could not be started";
        for (const auto& why : std::exchange(failure.stderr_tail, {})) failure.message += ": " + why;
        return note_loss(kind_of_death(report.status), std::move(failure));
    }
    auto failure = failure_of_death(report, code_of_loss());
    failure.message =
        "rank " + std::to_string(report.rank) + " ended (" + to_string(report.status) + ") " +
        (!entry.hello && report.status.success() ? "before it said hello; is its program a rankexec worker?"
         : !entry.hello                          ? "before it said hello"
         : state_ == GroupState::ready           ? "while its group was up"
                                                 : "during initialisation");
    note_loss(kind_of_death(report.status), std::move(failure));
}

Failure GroupSession::failure_of_death(const wire::RankExited& report, ReturnCode code) const {
    auto failure = failure_of_rank(report.rank, code, {});
    failure.exit = report.status;
    failure.stderr_tail = report.stderr_tail;
    failure.out_of_memory = report.out_of_memory;
    if (!report.stack.empty()) failure.stacks.push_back({report.rank, report.stack, {}});
    return failure;
}

void GroupSession::note_loss(FirstCause::Kind kind, Failure failure) {
    if (failure_ || state_ == GroupState::closing || state_ == GroupState::ending) return;
    loss_.add(kind, std::move(failure));
    if (lane_) lane_->request_hand_over();
    if (loss_timer_ != 0) return;
    const auto settle = FirstCause::settle_after(kind, options_.group.launcher == "local");
    loss_timer_ = loop_.call_after(settle, [this] { judge_loss(); });
}

void GroupSession::judge_loss() {
    loss_timer_ = 0;
    failure_ = loss_.choose();
    if (!failure_) return;
    complete(*failure_);
    if (!advance(GroupEvent::lost)) return;
    tell_ranks_to_close("the group failed: " + failure_->message);
    fail_everything(*failure_);
    end_after_grace(options_.abort_grace);
}

void GroupSession::give_up(Failure failure) {
    if (failure_) return;
    loss_.add(FirstCause::Kind::other, std::move(failure));
    loop_.cancel(loss_timer_);
    judge_loss();
}

void GroupSession::fail_everything(const Failure& failure) {
    loop_.cancel(ready_timer_);
    if (auto callback = std::exchange(on_ready_, nullptr)) callback(tl::unexpected(failure));
    if (lane_) {
        hooks_.on_lane(nullptr);
        lane_->close(failure);
    }
    drain_lane();
    if (open_) finish_task(open_->verdict ? *open_->verdict : failure);
    for (auto& task : std::exchange(queue_, {})) {
        loop_.cancel(task.deadline_timer);
        GroupReply reply;
        reply.reply = Shareable::failed(failure);
        task.on_done(std::move(reply));
    }
    if (events_) {
        hooks_.on_events(nullptr);
        events_->fail(failure.message);
    }
}

// ---- end ----------------------------------------------------------------------------------------

void GroupSession::close(std::function<void()> on_gone) {
    const bool over = state_ == GroupState::idle;
    if (over) {
        on_gone();
        return;
    }
    on_gone_.push_back(std::move(on_gone));
    const bool was_ready = state_ == GroupState::ready;
    if (!advance(GroupEvent::close)) return;
    loop_.cancel(loss_timer_);
    Failure failure;
    failure.code = ReturnCode::task_aborted;
    failure.message = "the executor was finalised";
    fail_everything(failure);
    if (state_ == GroupState::idle) return;
    tell_ranks_to_close("the executor was finalised");
    if (was_ready) {
        loop_.cancel(end_timer_);
        end_timer_ = loop_.call_after(options_.abort_grace, [this] {
            if (advance(GroupEvent::grace_over) && group_) group_->request_end(options_.group.grace);
        });
    } else if (group_) {
        group_->request_end(options_.group.grace);
    }
}

void GroupSession::tell_ranks_to_close(const std::string& reason) {
    if (told_to_close_ || !execution_) return;
    told_to_close_ = true;
    const auto last_event = events_->stop_firing();
    for (int rank = 0; rank < options_.group.world_size; ++rank) {
        send(*execution_, rank, wire::Close{rank_at(rank).initialised ? last_event : 0, reason});
    }
}

void GroupSession::end_after_grace(std::chrono::milliseconds grace) {
    loop_.cancel(end_timer_);
    end_timer_ = loop_.call_after(grace, [this] {
        if (group_) group_->request_end(options_.group.grace);
    });
    if (std::ranges::all_of(ranks_, [](const Rank& rank) { return rank.exited; }) && group_) {
        group_->request_end(options_.group.grace);
    }
}

void GroupSession::on_group_ended(const wire::SupervisionEnded& report) {
    surviving_pids_ = report.surviving_pids;
    for (const auto pid : surviving_pids_) {
        log::error("process " + std::to_string(pid) + " of the group cannot be ended");
    }
    loop_.cancel(end_timer_);
    if (!failure_ && next_state(state_, GroupEvent::gone) == GroupState::failed) {
        // Reports that are still in their settle window name the cause; nothing more will come.
        if (loss_.empty()) {
            Failure failure;
            failure.code = code_of_loss();
            failure.message = "the group ended";
            loss_.add(FirstCause::Kind::other, std::move(failure));
        }
        loop_.cancel(loss_timer_);
        failure_ = loss_.choose();
        complete(*failure_);
        fail_everything(*failure_);
    }
    // Its callback is on the stack.
    loop_.post([this] {
        execution_.reset();
        handler_.reset();
        relay_.reset();
        group_.reset();
        // What was submitted since then found a group that was still ready.
        if (failure_) fail_everything(*failure_);
        close_lane();
        memory_server_.reset();
        events_->detach();
        memory_.reset();
        advance(GroupEvent::gone);
    });
}

Failure GroupSession::failure_of_rank(int rank, ReturnCode code, std::string message) const {
    const auto& entry = ranks_.at(static_cast<std::size_t>(rank));
    Failure failure;
    failure.code = code;
    failure.message = std::move(message);
    failure.rank = rank;
    failure.host = entry.host;
    failure.pid = entry.pid;
    return failure;
}

void GroupSession::complete(Failure& failure) const {
    failure.log_directory = options_.group.log_directory;
    if (!failure.exit) tails_.complete(failure);
    if (!open_) return;
    if (failure.task.empty()) failure.task = open_->task.name;
    // Ranks that threw because of it.
    open_->cause.tell_of_others(failure);
}

ReturnCode GroupSession::code_of_loss() const {
    return state_ == GroupState::launching || state_ == GroupState::initialising ? ReturnCode::initialisation_error
                                                                                 : ReturnCode::execution_exception;
}

void GroupSession::acknowledge_output(int rank, std::size_t bytes) {
    if (group_) group_->acknowledge_output(rank, bytes);
}

void GroupSession::report(GroupReport& report) const {
    report.state = state_;
    report.incarnation = incarnation_;
    report.surviving_pids = surviving_pids_;
    report.end_failure = end_failure_;
    report.log_error = log_error_;
    if (!group_) return;
    report.run_id = group_->run_id();
    report.refused_handshakes = group_->transport()->refused_handshakes();
    report.dropped_messages = execution_->dropped() + handler_->dropped() + relay_->dropped() + dropped_results_;
    for (int rank = 0; rank < options_.group.world_size; ++rank) {
        const auto& entry = ranks_[static_cast<std::size_t>(rank)];
        const auto& connection = execution_->connection(rank);
        const auto* const transport = connection.tcp ? "tcp" : lane_ && entry.has_memory ? "memory" : "ipc";
        report.ranks.push_back({rank, entry.host, entry.pid, transport, connection.curve ? "curve" : "plain"});
    }
}

}  // namespace rankexec
