// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/channel/stand_in.hpp"

namespace rankexec {
namespace {

template <typename Kind>
bool is(std::uint16_t type) {
    static const auto kType = wire::Message(Kind{}).index() + 1;
    return type == kType;
}

}  // namespace

std::optional<wire::Message> stand_in_for(std::uint16_t type, const wire::DecodeError& error) {
    if (error.kind != wire::DecodeError::Kind::body || !error.call) return std::nullopt;
    if (is<wire::Result>(type)) {
        wire::Result result;
        result.task_id = *error.call;
        result.reply =
            Shareable::failed(ReturnCode::execution_result_error, "the result cannot be understood: " + error.message);
        return result;
    }
    if (is<wire::EventDone>(type)) {
        wire::EventDone done;
        done.event_id = *error.call;
        return done;
    }
    if (is<wire::FireEvent>(type)) {
        wire::FireEvent event;
        event.event_id = *error.call;
        return event;
    }
    if (is<wire::StackReport>(type)) {
        wire::StackReport report;
        report.task_id = *error.call;
        report.missing = "its report cannot be understood: " + error.message;
        return report;
    }
    if (is<wire::EventHandled>(type)) {
        wire::EventHandled handled;
        handled.event_id = *error.call;
        handled.error = "the answer cannot be understood: " + error.message;
        return handled;
    }
    return std::nullopt;
}

}  // namespace rankexec
