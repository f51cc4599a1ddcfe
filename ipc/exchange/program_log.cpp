// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/exchange/program_log.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "rankexec/core/model/printable.hpp"

namespace rankexec::exchange {
namespace {

constexpr std::size_t kLongestInMessage = 80;

bool is_figure(const Value& value) {
    switch (value.kind()) {
        case Value::Kind::boolean:
        case Value::Kind::integer:
        case Value::Kind::real:
        case Value::Kind::text: return true;
        default: return false;
    }
}

}  // namespace

std::string ProgramLog::error() const {
    if (type.empty()) return "a log without a type; the type is that of the event";
    if (type.size() > kLogTypeBytes) {
        return "a log whose type has " + std::to_string(type.size()) + " bytes, over the limit of " +
               std::to_string(kLogTypeBytes);
    }
    for (const auto& [name, value] : figures) {
        if (name.empty()) return "a log with a figure that has no name";
        if (!is_figure(value)) {
            return "a log whose figure \"" + printable(name, kLongestInMessage) + "\" is " +
                   std::string(to_string(value.kind())) + "; a figure is a number, true or false, or text";
        }
    }
    return "";
}

PipeMessage ProgramLog::to_message() const {
    if (const auto why = error(); !why.empty()) throw std::invalid_argument(why);
    Shareable content;
    content.headers.insert_or_assign(std::string(kLogTypeHeader), type);
    content.body = figures;
    return PipeMessage::request(std::string(kLogTopic), std::move(content));
}

tl::expected<ProgramLog, std::string> ProgramLog::from_message(const PipeMessage& message) {
    if (message.kind != PipeMessage::Kind::request || message.topic != kLogTopic) {
        return tl::unexpected("no log but a message on topic " + printable(message.topic, kLongestInMessage));
    }
    ProgramLog log;
    if (const auto* type = message.content.header(kLogTypeHeader)) {
        if (type->if_text() == nullptr) return tl::unexpected<std::string>("a log whose type is no text");
        log.type = *type->if_text();
    }
    const auto* figures = message.content.body.if_map();
    if (figures == nullptr) return tl::unexpected<std::string>("a log whose body is no map of figures");
    log.figures = *figures;
    if (auto why = log.error(); !why.empty()) return tl::unexpected(std::move(why));
    return log;
}

}  // namespace rankexec::exchange
