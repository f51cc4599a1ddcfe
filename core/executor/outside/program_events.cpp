// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/program_events.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "rankexec/core/model/event_type.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

constexpr std::array kOwnTypes{event::kStartRun, event::kAboutToEndRun, event::kEndRun, event::kSystemPanic};

}  // namespace

void fire_program_event(Engine& engine, exchange::ProgramLog&& log, const std::optional<Context>& context) {
    if (std::ranges::find(kOwnTypes, log.type) != kOwnTypes.end()) {
        log::warning("the program has logged something of type " + log.type +
                     ", which is an event of the run itself; it is ignored");
        return;
    }
    Context own = context ? context->clone() : engine.new_context();
    own.set(kMetricProperty, std::move(log.figures));
    own.forget_changes();
    engine.deliver_event(log.type, own, EventOrigin::rank, 0, true);
    if (!context) return;
    Context task = *context;
    task.apply(own.changes());
}

void report_panic(Engine* engine, const Failure& failure, Context& context) {
    log::error("start_run: " + failure.describe());
    context.set("panic_reason", failure.message);
    if (engine != nullptr) engine->fire_event(std::string(event::kSystemPanic), context);
}

}  // namespace rankexec
