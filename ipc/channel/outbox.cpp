// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/channel/outbox.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace rankexec {
namespace {

/// Frames up to this size stay in a message that goes in parts: the head of a task, and what is not worth a part.
constexpr std::size_t kSmallFrame = std::size_t{64} << 10U;

/// Of body and tensors, those that do not stay in the message.
std::vector<std::size_t> frames_in_parts(const std::vector<wire::Frame>& frames) {
    std::vector<std::size_t> in_parts;
    if (wire::size_of(frames) <= wire::kPartBytes) return in_parts;
    std::size_t staying = 0;
    for (std::size_t index = 0; index < frames.size(); ++index) {
        const auto size = frames[index].bytes.size();
        if (size <= kSmallFrame && staying + size <= wire::kPartBytes) {
            staying += size;
        } else {
            in_parts.push_back(index);
        }
    }
    return in_parts;
}

}  // namespace

bool Outbox::overtakes(std::uint16_t type) {
    return type == wire::type_number<wire::AbortTask>() || type == wire::type_number<wire::ReportStack>() ||
           type == wire::type_number<wire::StackReport>() || type == wire::type_number<wire::Close>() ||
           type == wire::type_number<wire::PartsTaken>();
}

void Outbox::push(wire::EncodedBody body, const Send& send) {
    Waiting message;
    message.in_parts = frames_in_parts(body.frames);
    message.body = std::move(body);
    waiting_.push_back(std::move(message));
    send_on(send, wire::kPartsOnTheWay);
}

void Outbox::taken(std::uint64_t bytes, const Send& send) {
    on_the_way_ -= std::min(bytes, on_the_way_);
    send_on(send, wire::kPartsOnTheWay);
}

bool Outbox::cut(std::uint16_t type, const Send& send) {
    bool missing = false;
    for (auto& message : waiting_) {
        if (message.body.type != type) continue;
        // Without its body nobody would know whose frames are missing.
        constexpr std::size_t kBody = 0;
        const bool body_is_due = message.next < message.in_parts.size() && message.in_parts[message.next] == kBody;
        const auto keep = message.next + (body_is_due ? 1 : 0);
        for (auto index = keep; index < message.in_parts.size(); ++index) {
            message.body.frames[message.in_parts[index]] = {};
            missing = true;
        }
        message.in_parts.resize(std::min(keep, message.in_parts.size()));
    }
    send_on(send, wire::kPartsOnTheWay);
    return missing;
}

void Outbox::flush(const Send& send) { send_on(send, std::numeric_limits<std::uint64_t>::max()); }

void Outbox::send_on(const Send& send, std::uint64_t limit) {
    while (!waiting_.empty()) {
        auto& message = waiting_.front();
        if (message.next < message.in_parts.size()) {
            if (on_the_way_ >= limit) return;
            if (!send_part(message, send)) return clear();
            continue;
        }
        for (const auto index : message.in_parts) message.body.frames[index] = {};
        if (!send(message.body)) return clear();
        waiting_.pop_front();
    }
}

bool Outbox::send_part(Waiting& message, const Send& send) {
    const auto index = message.in_parts[message.next];
    const auto& frame = message.body.frames[index];
    const auto bytes =
        frame.bytes.subspan(message.offset, std::min(wire::kPartBytes, frame.bytes.size() - message.offset));
    wire::MessagePart part;
    part.message = message.body.type;
    part.frame = index + 1;  // frame 0 is the envelope
    part.size = frame.bytes.size();
    part.offset = message.offset;
    part.bytes = Tensor::adopt(DType::uint8, {static_cast<std::int64_t>(bytes.size())}, bytes, frame.owner);
    message.offset += bytes.size();
    on_the_way_ += bytes.size();
    if (message.offset == frame.bytes.size()) {
        ++message.next;
        message.offset = 0;
    }
    const auto body = wire::encode_body(part);
    return body && send(*body);
}

}  // namespace rankexec
