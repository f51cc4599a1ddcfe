// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/pipe/pipe_message.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "rankexec/core/model/printable.hpp"
#include "rankexec/ipc/transport/credentials.hpp"

namespace rankexec {
namespace {

constexpr std::array kReserved{kAbortTopic, kEndTopic, kHeartbeatTopic, kPeerGoneTopic};

PipeMessage make(PipeMessage::Kind kind, std::string topic, std::string request_id, Shareable content) {
    return {kind, std::move(topic), random_run_id(), std::move(request_id), std::move(content)};
}

PipeMessage status(std::string_view topic, std::string reason) {
    Shareable content;
    content.body = std::move(reason);
    return make(PipeMessage::Kind::request, std::string(topic), {}, std::move(content));
}

void check_user_topic(std::string_view topic) {
    if (const auto error = topic_error(topic)) throw std::invalid_argument(*error);
    if (is_reserved_topic(topic)) {
        throw std::invalid_argument("the topic " + std::string(topic) + " is reserved for the pipe itself");
    }
}

}  // namespace

PipeMessage PipeMessage::request(std::string topic, Shareable content) {
    check_user_topic(topic);
    return make(Kind::request, std::move(topic), {}, std::move(content));
}

PipeMessage PipeMessage::reply_to(const PipeMessage& request, Shareable content) {
    check_user_topic(request.topic);
    return make(Kind::reply, request.topic, request.id, std::move(content));
}

PipeMessage PipeMessage::abort(std::string reason) { return status(kAbortTopic, std::move(reason)); }
PipeMessage PipeMessage::end(std::string reason) { return status(kEndTopic, std::move(reason)); }
PipeMessage PipeMessage::heartbeat() { return make(Kind::request, std::string(kHeartbeatTopic), {}, {}); }
PipeMessage PipeMessage::peer_gone(std::string reason) { return status(kPeerGoneTopic, std::move(reason)); }

bool PipeMessage::is_status() const noexcept { return is_reserved_topic(topic) && !is_heartbeat(); }

std::string PipeMessage::reason() const { return is_status() ? content.body.text_or("") : std::string(); }

bool is_reserved_topic(std::string_view topic) noexcept {
    return std::ranges::find(kReserved, topic) != kReserved.end();
}

std::optional<std::string> topic_error(std::string_view topic) {
    constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    if (topic.empty()) return "an empty topic; a topic consists of letters, digits and _";
    if (topic.size() > kTopicBytes) {
        return "a topic of " + std::to_string(topic.size()) + " bytes, over the limit of " +
               std::to_string(kTopicBytes);
    }
    if (topic.find_first_not_of(kAllowed) == std::string_view::npos) return std::nullopt;
    return "the topic \"" + printable(topic, kTopicBytes) + "\"; a topic consists of letters, digits and _";
}

}  // namespace rankexec
