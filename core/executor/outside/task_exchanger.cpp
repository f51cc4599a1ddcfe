// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/task_exchanger.hpp"

#include <exception>
#include <mutex>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/executor/outside/program_events.hpp"
#include "rankexec/core/executor/outside/task_exchange.hpp"
#include "rankexec/core/model/event_type.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec {

class TaskExchanger::Impl {
public:
    Impl(TaskExchanger& owner, MakePipe make_pipe, TaskExchangeOptions options)
        : make_pipe_(std::move(make_pipe)),
          exchange_(options, [&owner](exchange::ProgramLog&& log, const std::optional<Context>& context) {
              if (owner.in_engine()) fire_program_event(owner.engine(), std::move(log), context);
          }) {
        if (!make_pipe_) {
            throw ConfigurationError(ConfigurationError::Kind::option,
                                     "task exchange: there is nothing to make a pipe");
        }
    }

    tl::expected<void, Failure> initialise() {
        const std::lock_guard lock(opening_);
        if (exchange_.is_open()) {
            Failure failure;
            failure.code = ReturnCode::bad_request_data;
            failure.message = "the exchange has a pipe already; finalise it first";
            return tl::unexpected(std::move(failure));
        }
        return exchange_.open(make_pipe_());
    }

    Shareable execute(const std::string& task, const Shareable& input, const Context& context, const Signal& abort) {
        if (auto refused = exchange_.refusal(task, input, abort)) return Shareable::failed(std::move(*refused));
        try {
            if (!exchange_.begin_task(task, context, false)) return Shareable::failed(exchange_.cannot_begin(task));
            return hand_over(input, abort);
        } catch (const std::exception& error) {
            exchange_.end_task();
            return Shareable::failed(ReturnCode::execution_exception,
                                     std::string("the task cannot be exchanged: ") + error.what() +
                                         "; raise the limits of processes, open files or memory (ulimit -u, -n, -v)");
        }
    }

    TaskExchange& exchange() { return exchange_; }

private:
    Shareable hand_over(const Shareable& input, const Signal& abort) {
        auto reply = [&] {
            const auto subscription = abort.on_trigger(
                [this](const std::string& reason) { exchange_.give_up(TaskExchange::aborted(reason)); });
            return exchange_.exchange(input);
        }();
        if (!reply && reply.error().code != ReturnCode::bad_task_data) {
            exchange_.notify_abort(reply.error().message);
            exchange_.end_conversation();
        }
        exchange_.end_task();
        return reply ? std::move(*reply) : Shareable::failed(std::move(reply.error()));
    }

    const MakePipe make_pipe_;
    std::mutex opening_;
    TaskExchange exchange_;
};

TaskExchanger::TaskExchanger(MakePipe make_pipe, TaskExchangeOptions options)
    : impl_(std::make_unique<Impl>(*this, std::move(make_pipe), options)) {}

TaskExchanger::~TaskExchanger() = default;

tl::expected<void, Failure> TaskExchanger::initialise() { return impl_->initialise(); }

void TaskExchanger::finalise() { impl_->exchange().close("the run has ended"); }

void TaskExchanger::quiesce() { finalise(); }

void TaskExchanger::handle_event(const std::string& type, Context& context) {
    if (type == event::kStartRun) {
        if (impl_->exchange().is_open()) return;
        if (const auto ready = initialise(); !ready) {
            report_panic(in_engine() ? &engine() : nullptr, ready.error(), context);
        }
    } else if (type == event::kAboutToEndRun || type == event::kEndRun) {
        finalise();
    }
}

Shareable TaskExchanger::execute(const std::string& task, const Shareable& input, Context& context,
                                 const Signal& abort) {
    return impl_->execute(task, input, context, abort);
}

}  // namespace rankexec
