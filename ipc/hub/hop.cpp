// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/hub/hop.hpp"

#include <algorithm>
#include <chrono>

namespace rankexec::hub {
namespace {

/// For a connection's queue to have room again.
constexpr std::chrono::milliseconds kRetry{10};

std::int64_t milliseconds_until(Hop::Clock::time_point deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Hop::Clock::now()).count();
    return std::max<std::int64_t>(left, 1);
}

}  // namespace

Hop::Hop(EventLoop& loop, std::size_t most_open_bytes, Send send)
    : loop_(loop), most_open_bytes_(most_open_bytes), send_(std::move(send)) {}

Hop::~Hop() {
    loop_.cancel(retry_);
    for (auto& [key, open] : open_) loop_.cancel(open.timer);
}

void Hop::ask(const Key& key, Question question) {
    if (const auto known = open_.find(key); known != open_.end()) return;
    auto& open = open_[key];
    open.question = std::move(question);
    open.timer = loop_.call_at(open.question.deadline, [this, key] {
        const auto late = open_.find(key);
        if (late == open_.end()) return;
        auto reply = late->second.question.too_late ? late->second.question.too_late()
                                                    : no_reply(ReturnCode::task_timeout, "no answer in time");
        finish(late, std::move(reply));
    });
    put(key, open);
}

void Hop::put(const Key& key, Open& open) {
    open.waits = false;
    if (!target_) return;
    const auto& question = open.question;
    const auto sent = send_(
        *target_, {MessageType::request, key.first, key.second, question.topic, milliseconds_until(question.deadline)},
        question.body);
    open.waits = sent == Sent::full;
    if (open.waits) retry_soon();
}

bool Hop::replied(const Key& key, RawReply&& reply) {
    const auto open = open_.find(key);
    if (open == open_.end()) return false;
    finish(open, std::move(reply));
    return true;
}

void Hop::finish(std::map<Key, Open>::iterator open, RawReply&& reply) {
    loop_.cancel(open->second.timer);
    // Out first: whoever is called may ask again.
    const auto on_reply = std::move(open->second.question.on_reply);
    open_.erase(open);
    on_reply(std::move(reply));
}

void Hop::fail_all(const RawReply& reply) {
    served_.clear();
    answered_.clear();
    over_.clear();
    over_order_.clear();
    served_bytes_ = answer_bytes_ = 0;
    auto all = std::exchange(open_, {});
    for (auto& [key, open] : all) loop_.cancel(open.timer);
    for (auto& [key, open] : all) open.question.on_reply(RawReply(reply));
}

Hop::Asked Hop::asked(const Key& key, const std::string& session, std::size_t bytes, Clock::time_point deadline) {
    if (over_.contains(key)) return Asked::known;
    if (const auto found = served_.find(key); found != served_.end()) {
        found->second.session = session;
        if (found->second.reply) put(key, found->second);
        return Asked::known;
    }
    if (served_.size() >= kMostOpen || bytes > most_open_bytes_ - std::min(served_bytes_, most_open_bytes_)) {
        return Asked::full;
    }
    served_.emplace(key, Served{session, bytes, deadline, std::nullopt, false});
    served_bytes_ += bytes;
    return Asked::fresh;
}

void Hop::answer(const Key& key, RawReply&& reply) {
    const auto found = served_.find(key);
    if (found == served_.end() || found->second.reply) return;
    auto& served = found->second;
    served_bytes_ -= std::exchange(served.bytes, 0);
    answer_bytes_ += size_of(reply.body);
    served.reply = std::move(reply);
    answered_.push_back(key);
    put(key, served);
    drop_answers();
}

void Hop::put(const Key& key, Served& served) {
    const auto sent = send_(
        served.session, {MessageType::reply, key.first, key.second, {}, static_cast<std::int64_t>(served.reply->code)},
        served.reply->body);
    served.waits = sent == Sent::full;
    if (served.waits) retry_soon();
}

void Hop::retry_soon() {
    if (retry_ != 0) return;
    retry_ = loop_.call_after(kRetry, [this] {
        retry_ = 0;
        retry();
    });
}

void Hop::retry() {
    for (auto& [key, served] : served_) {
        if (served.waits) put(key, served);
    }
    for (auto& [key, open] : open_) {
        if (!open.waits) continue;
        put(key, open);
        if (open.waits) return;  // the others go the same way
    }
}

void Hop::got(const Key& key) {
    const auto found = served_.find(key);
    if (found != served_.end() && found->second.reply) end_served(found);
}

std::map<Hop::Key, Hop::Served>::iterator Hop::end_served(std::map<Key, Served>::iterator served) {
    answer_bytes_ -= size_of(served->second.reply->body);
    if (over_.insert(served->first).second) over_order_.push_back(served->first);
    if (over_order_.size() > kMostOver) {
        over_.erase(over_order_.front());
        over_order_.pop_front();
    }
    return served_.erase(served);
}

void Hop::drop_answers() {
    // The newest stays: it may be the only one, and larger than all that is kept.
    while (answered_.size() > 1) {
        const auto oldest = served_.find(answered_.front());
        const bool there = oldest != served_.end() && oldest->second.reply;
        if (there && answer_bytes_ <= kMostAnswerBytes) return;
        if (there) end_served(oldest);
        answered_.pop_front();
    }
    // Behind one that is not fetched there may be any number of those that are.
    if (answered_.size() > 2 * kMostOpen) {
        std::erase_if(answered_, [this](const Key& key) { return !served_.contains(key); });
    }
}

void Hop::connected(const std::string& session) {
    for (auto& [key, served] : served_) {
        if (served.session == session && served.reply) put(key, served);
    }
    if (target_ != session) return;
    for (auto& [key, open] : open_) put(key, open);
}

void Hop::sweep() {
    const auto now = Clock::now();
    for (auto served = served_.begin(); served != served_.end();) {
        if (served->second.reply && served->second.deadline < now) {
            served = end_served(served);
            continue;
        }
        ++served;
    }
    drop_answers();
}

}  // namespace rankexec::hub
