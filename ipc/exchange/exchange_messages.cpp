// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/exchange/exchange_messages.hpp"

#include <utility>

#include "rankexec/core/model/printable.hpp"
#include "rankexec/ipc/pipe/pipe_codec.hpp"

namespace rankexec::exchange {
namespace {

constexpr const char* kHeartbeatName = "heartbeat";
constexpr const char* kTaskName = "task";
constexpr const char* kFetchedName = "fetched";
constexpr const char* kResultName = "result";
constexpr const char* kAbortName = "abort";
constexpr const char* kByeName = "bye";
constexpr std::size_t kHeld = 16;  ///< an agent has two at most

struct Malformed {
    std::string what;
};

/// Reads what is beside the user's content. Throws Malformed, within this file only.
class Facts {
public:
    /// Takes the header out of the content.
    explicit Facts(Shareable& content) {
        const auto found = content.headers.find(kExchangeHeader);
        if (found == content.headers.end()) return;
        if (found->second.if_map() == nullptr) throw Malformed{"the header _exchange_ is no map"};
        facts_ = std::move(*found->second.if_map());
        content.headers.erase(found);
    }
    explicit Facts(Value::Map facts) : facts_(std::move(facts)) {}

    [[nodiscard]] const Value* find(std::string_view name) const {
        const auto found = facts_.find(name);
        return found == facts_.end() ? nullptr : &found->second;
    }
    [[nodiscard]] std::string text(const char* name, std::size_t longest) const {
        const auto* const value = find(name);
        if (value == nullptr || value->if_text() == nullptr || value->if_text()->size() > longest) {
            throw Malformed{std::string(name) + " is missing, no text, or too long"};
        }
        return *value->if_text();
    }
    [[nodiscard]] std::string words() const { return printable(text("why", kLongestWords), kLongestWords); }
    [[nodiscard]] bool truth(const char* name) const {
        const auto* const value = find(name);
        if (value == nullptr || value->if_boolean() == nullptr) throw Malformed{std::string(name) + " is no boolean"};
        return *value->if_boolean();
    }
    [[nodiscard]] std::optional<std::int64_t> number(const char* name) const {
        const auto* const value = find(name);
        if (value == nullptr) return std::nullopt;
        if (value->if_integer() == nullptr) throw Malformed{std::string(name) + " is no integer"};
        return *value->if_integer();
    }
    [[nodiscard]] TaskRef ref() const {
        TaskRef ref{text("task", 32), number("attempt").value_or(0)};
        if (!pipe::is_id(ref.task)) throw Malformed{"task is not 32 hexadecimal digits"};
        if (ref.attempt < 0) throw Malformed{"attempt is below 0"};
        return ref;
    }
    [[nodiscard]] std::optional<TaskRef> optional_ref() const {
        if (find("task") == nullptr) return std::nullopt;
        return ref();
    }
    [[nodiscard]] std::string kind() const {
        auto kind = text("kind", kTopicBytes);
        if (const auto error = topic_error(kind)) throw Malformed{"kind: " + *error};
        return kind;
    }

    static constexpr std::size_t kLongestWords = 1024;

private:
    Value::Map facts_;
};

Value::Map facts_of(const TaskRef& ref) {
    Value::Map facts;
    facts["task"] = ref.task;
    if (ref.attempt != 0) facts["attempt"] = ref.attempt;
    return facts;
}

std::string cut(const std::string& words) { return printable(words, Facts::kLongestWords / 4); }

PipeMessage make(const char* topic, Value::Map facts, std::string request_id, Shareable content = {}) {
    if (!facts.empty()) content.headers[std::string(kExchangeHeader)] = std::move(facts);
    auto message = PipeMessage::request(topic, std::move(content));
    if (!request_id.empty()) {
        message.kind = PipeMessage::Kind::reply;
        message.request_id = std::move(request_id);
    }
    return message;
}

struct ToPipe {
    std::string request_id;

    PipeMessage operator()(Heartbeat&& /*message*/) { return make(kHeartbeatName, {}, {}); }
    PipeMessage operator()(HeartbeatAnswer&& message) {
        Value::Array holds;
        for (const auto& held : message.holds) {
            auto facts = facts_of(held.ref);
            facts["fetched"] = held.fetched;
            holds.emplace_back(std::move(facts));
        }
        Value::Map facts;
        facts["holds"] = std::move(holds);
        return make(kHeartbeatName, std::move(facts), request_id);
    }
    PipeMessage operator()(GiveTask&& message) {
        auto facts = facts_of(message.ref);
        facts["name"] = std::move(message.name);
        facts["kind"] = std::move(message.kind);
        if (message.round) facts["round"] = *message.round;
        if (message.rounds) facts["rounds"] = *message.rounds;
        return make(kTaskName, std::move(facts), {}, std::move(message.input));
    }
    PipeMessage operator()(TaskAnswer&& message) {
        auto facts = facts_of(message.ref);
        facts["accepted"] = message.accepted;
        facts["why"] = cut(message.why);
        return make(kTaskName, std::move(facts), request_id);
    }
    PipeMessage operator()(TaskFetched&& message) { return make(kFetchedName, facts_of(message.ref), {}); }
    PipeMessage operator()(GiveResult&& message) {
        auto facts = message.ref ? facts_of(*message.ref) : Value::Map();
        facts["kind"] = std::move(message.kind);
        return make(kResultName, std::move(facts), {}, std::move(message.result));
    }
    PipeMessage operator()(ResultAnswer&& message) {
        auto facts = message.ref ? facts_of(*message.ref) : Value::Map();
        facts["accepted"] = message.accepted;
        facts["why"] = cut(message.why);
        return make(kResultName, std::move(facts), request_id);
    }
    PipeMessage operator()(AbortTask&& message) {
        auto facts = facts_of(message.ref);
        facts["why"] = cut(message.why);
        return make(kAbortName, std::move(facts), {});
    }
    PipeMessage operator()(AbortAnswer&& message) { return make(kAbortName, facts_of(message.ref), request_id); }
    PipeMessage operator()(Bye&& message) {
        Value::Map facts;
        facts["why"] = cut(message.why);
        return make(kByeName, std::move(facts), {});
    }
    PipeMessage operator()(ByeAnswer&& /*message*/) { return make(kByeName, {}, request_id); }
    PipeMessage operator()(ProgramLog&& message) { return message.to_message(); }
    PipeMessage operator()(LogAnswer&& /*message*/) { return make(kLogTopic.data(), {}, request_id); }
};

ExchangeMessage heartbeat_answer(const Facts& facts) {
    const auto* const holds = facts.find("holds");
    if (holds == nullptr || holds->if_array() == nullptr || holds->if_array()->size() > kHeld) {
        throw Malformed{"holds is no list, or too long"};
    }
    HeartbeatAnswer answer;
    for (const auto& entry : *holds->if_array()) {
        if (entry.if_map() == nullptr) throw Malformed{"holds has something that is no map"};
        const Facts held(*entry.if_map());
        answer.holds.push_back({held.ref(), held.truth("fetched")});
    }
    return answer;
}

ExchangeMessage request_from(PipeMessage&& message) {
    if (message.topic == kLogTopic) {
        auto log = ProgramLog::from_message(message);
        if (!log) throw Malformed{log.error()};
        return std::move(*log);
    }
    const Facts facts(message.content);
    if (message.topic == kHeartbeatName) return Heartbeat{};
    if (message.topic == kTaskName) {
        auto name = facts.text("name", kTaskNameBytes);
        return GiveTask{facts.ref(),           std::move(name),        facts.kind(),
                        facts.number("round"), facts.number("rounds"), std::move(message.content)};
    }
    if (message.topic == kFetchedName) return TaskFetched{facts.ref()};
    if (message.topic == kResultName) {
        return GiveResult{facts.optional_ref(), facts.kind(), std::move(message.content)};
    }
    if (message.topic == kAbortName) return AbortTask{facts.ref(), facts.words()};
    if (message.topic == kByeName) return Bye{facts.words()};
    throw Malformed{"its topic means nothing"};
}

ExchangeMessage reply_from(PipeMessage&& message) {
    if (message.topic == kLogTopic) return LogAnswer{};
    const Facts facts(message.content);
    if (message.topic == kHeartbeatName) return heartbeat_answer(facts);
    if (message.topic == kTaskName) return TaskAnswer{facts.ref(), facts.truth("accepted"), facts.words()};
    if (message.topic == kResultName) {
        return ResultAnswer{facts.optional_ref(), facts.truth("accepted"), facts.words()};
    }
    if (message.topic == kAbortName) return AbortAnswer{facts.ref()};
    if (message.topic == kByeName) return ByeAnswer{};
    throw Malformed{"its topic means nothing"};
}

}  // namespace

PipeMessage to_pipe(ExchangeMessage message, std::string request_id) {
    return std::visit(ToPipe{std::move(request_id)}, std::move(message));
}

tl::expected<ExchangeMessage, std::string> from_pipe(PipeMessage message) {
    const auto topic = message.topic;
    const bool request = message.kind == PipeMessage::Kind::request;
    try {
        return request ? request_from(std::move(message)) : reply_from(std::move(message));
    } catch (const Malformed& malformed) {
        return tl::unexpected("a " + std::string(request ? "message" : "reply") + " on topic " + topic + ": " +
                              malformed.what);
    }
}

bool is_sign(const ExchangeMessage& message) noexcept {
    return !std::holds_alternative<GiveTask>(message) && !std::holds_alternative<GiveResult>(message) &&
           !std::holds_alternative<ProgramLog>(message);
}

tl::expected<std::string, std::string> data_kind_of(const Shareable& content, std::string_view otherwise) {
    const auto* const kind = content.header(kDataKindHeader);
    if (kind == nullptr) return std::string(otherwise);
    const auto* const text = kind->if_text();
    if (text == nullptr) {
        return tl::unexpected("the header data_kind is " + std::string(to_string(kind->kind())) + ", not text");
    }
    if (auto error = topic_error(*text)) return tl::unexpected("the header data_kind: " + *error);
    return *text;
}

}  // namespace rankexec::exchange
