// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/pipe/pipe_handler.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

using pipe::Clock;

[[noreturn]] void refuse(const std::string& what) {
    throw ConfigurationError(ConfigurationError::Kind::option, "pipe handler: " + what);
}

std::string in_words(std::chrono::milliseconds time) { return std::to_string(time.count()) + " ms"; }

PipeError cancelled(const std::string& why) { return {PipeError::Kind::cancelled, why}; }

}  // namespace

void PipeHandlerOptions::validate() const {
    const auto positive = [](const char* name, Milliseconds time) {
        if (time.count() <= 0) refuse(std::string(name) + " is " + in_words(time) + "; it must be above 0");
    };
    const auto not_negative = [](const char* name, Milliseconds time) {
        if (time.count() < 0) refuse(std::string(name) + " is " + in_words(time) + "; it must not be below 0");
    };
    positive("read", read);
    positive("heartbeat_interval", heartbeat_interval);
    positive("request_timeout", request_timeout);
    positive("notify_timeout", notify_timeout);
    not_negative("peer_gone_after", peer_gone_after);
    not_negative("resend_interval", resend_interval);
    if (max_resends < 0) refuse("max_resends is " + std::to_string(max_resends) + "; it must not be below 0");
    if (peer_gone_after.count() != 0 && peer_gone_after <= heartbeat_interval) {
        refuse("peer_gone_after is " + in_words(peer_gone_after) + " and heartbeat_interval " +
               in_words(heartbeat_interval) +
               ": a peer that lives would count as gone; raise the one above the other, or set it to 0 (never)");
    }
}

PipeHandler::PipeHandler(std::shared_ptr<Pipe> pipe, PipeHandlerOptions options)
    : pipe_(std::move(pipe)), options_(options) {
    options_.validate();
    pipe_->look_every(options_.read);
}

PipeHandler::~PipeHandler() { stop(false); }

void PipeHandler::on_status(Callback callback) { status_ = std::move(callback); }
void PipeHandler::on_message(Callback callback) { message_ = std::move(callback); }

void PipeHandler::on_arrival(std::function<bool(const PipeMessage&)> callback) { arrival_ = std::move(callback); }
void PipeHandler::on_bad(std::function<void(const std::string&)> callback) { bad_ = std::move(callback); }

void PipeHandler::start() {
    const std::lock_guard lock(threads_);
    resume();
    reader_ = std::thread([this] { read(); });
    heartbeats_ = std::thread([this] { send_heartbeats(); });
}

bool PipeHandler::in_callback_thread() const { return std::this_thread::get_id() == reader_id_; }

void PipeHandler::stop(bool close_pipe) {
    stopping_.trigger("the pipe's handler was stopped");
    room_.notify();
    if (close_pipe) pipe_->close();
    if (in_callback_thread()) return;
    const std::lock_guard lock(threads_);
    if (reader_.joinable()) reader_.join();
    if (heartbeats_.joinable()) heartbeats_.join();
}

// ---- the reader's thread ----------------------------------------------------------------------

void PipeHandler::read() {
    reader_id_ = std::this_thread::get_id();
    try {
        while (read_one()) {
        }
    } catch (const std::exception& error) {
        peer_gone(std::string("reading failed: ") + error.what());
    }
    reader_ended_ = true;
    room_.notify();
}

PipeHandler::Milliseconds PipeHandler::patience() const {
    if (options_.peer_gone_after.count() == 0) return Milliseconds::max();
    if (paused_) return options_.peer_gone_after;
    const Clock::time_point heard{Clock::duration(heard_)};
    const auto left = heard + options_.peer_gone_after - Clock::now();
    return std::max(std::chrono::ceil<Milliseconds>(left), Milliseconds(0));
}

bool PipeHandler::read_one() {
    auto received = pipe_->receive(patience(), stopping_);
    if (stopping_.triggered()) return false;
    if (!received && received.error().kind == PipeError::Kind::bad_message) {
        log::warning(received.error().message);
        if (bad_) bad_(received.error().message);
        return true;
    }
    if (!received) {
        peer_gone(received.error().message);
        return false;
    }
    if (!*received) {
        const bool judged = !paused_ && options_.peer_gone_after.count() != 0;
        if (!judged || patience().count() > 0) return true;
        peer_gone(pipe_->describe() + ": nothing has come from the peer for " + in_words(options_.peer_gone_after) +
                  " (peer_gone_after)");
        return false;
    }
    auto& message = **received;
    if (arrival_ && !arrival_(message)) return true;
    heard_ = Clock::now().time_since_epoch().count();
    const bool last = message.is_status();
    if (message.is_heartbeat()) return true;
    deliver(std::move(message));
    return !last && !stopping_.triggered();
}

void PipeHandler::peer_gone(const std::string& why) {
    if (!stopping_.triggered()) deliver(PipeMessage::peer_gone(why));
}

void PipeHandler::deliver(PipeMessage&& message) {
    const auto& callback = message.is_status() ? status_ : message_;
    if (callback) {
        call(callback, std::move(message));
    } else {
        queue(std::move(message));
    }
}

void PipeHandler::call(const Callback& callback, PipeMessage&& message) {
    const auto topic = message.topic;
    try {
        callback(std::move(message));
    } catch (const std::exception& error) {
        log::error("a pipe's callback threw on a message on topic " + topic + ": " + error.what());
    } catch (...) {
        log::error("a pipe's callback threw on a message on topic " + topic);
    }
}

void PipeHandler::queue(PipeMessage&& message) {
    const auto subscription = room_.follow(stopping_);
    while (!stopping_.triggered()) {
        const auto seen = room_.changes();
        {
            const std::lock_guard lock(queue_mutex_);
            if (queue_.size() < kQueued) {
                queue_.push_back(std::move(message));
                break;
            }
        }
        room_.wait(seen, pipe::deadline_after(Milliseconds::max()));
    }
    room_.notify();
}

std::optional<PipeMessage> PipeHandler::next(Milliseconds timeout, const Signal& cancel) {
    const auto stopped = room_.follow(stopping_);
    const auto cancelled = room_.follow(cancel);
    const auto deadline = pipe::deadline_after(timeout);
    while (true) {
        const auto seen = room_.changes();
        const bool ended = reader_ended_;
        {
            std::unique_lock lock(queue_mutex_);
            if (!queue_.empty()) {
                auto message = std::move(queue_.front());
                queue_.pop_front();
                lock.unlock();
                room_.notify();
                return message;
            }
        }
        if (ended || stopping_.triggered() || cancel.triggered() || Clock::now() >= deadline) return std::nullopt;
        room_.wait(seen, deadline);
    }
}

// ---- sending ----------------------------------------------------------------------------------

void PipeHandler::send_heartbeats() {
    do {
        try {
            (void)pipe_->send(PipeMessage::heartbeat(), options_.heartbeat_interval, stopping_);
        } catch (const std::exception& error) {
            log::warning(std::string("a pipe's heartbeat was not sent: ") + error.what());
        }
    } while (!stopping_.wait_for(options_.heartbeat_interval));
}

Pipe::Result PipeHandler::send(const PipeMessage& message, std::optional<Milliseconds> timeout, const Signal& abort) {
    const auto encoded = pipe_->encode(message);
    if (!encoded) return tl::unexpected(encoded.error());
    const Signal cancel;
    const auto forward = [&cancel](const std::string& reason) { cancel.trigger(reason); };
    const auto aborted = abort.on_trigger(forward);
    const auto stopped = stopping_.on_trigger(forward);
    const bool resends = timeout && pipe_->can_resend() && options_.resend_interval.count() > 0;
    for (int resent = 0;; ++resent) {
        if (cancel.triggered()) return tl::unexpected(cancelled(cancel.reason()));
        auto sent = pipe_->send(*encoded, timeout.value_or(options_.request_timeout), cancel);
        if (sent || sent.error().kind != PipeError::Kind::not_taken) return sent;
        if (!resends || resent == options_.max_resends) return sent;
        if (cancel.wait_for(options_.resend_interval)) return tl::unexpected(cancelled(cancel.reason()));
    }
}

bool PipeHandler::notify(const PipeMessage& message) noexcept {
    try {
        const auto sent = pipe_->send(message, options_.notify_timeout);
        if (!sent) log::debug("the peer was not told: " + sent.error().message);
        return sent.has_value();
    } catch (const std::exception& error) {
        log::warning(std::string("the peer was not told: ") + error.what());
        return false;
    }
}

bool PipeHandler::notify_end(const std::string& reason) noexcept { return notify(PipeMessage::end(reason)); }
bool PipeHandler::notify_abort(const std::string& reason) noexcept { return notify(PipeMessage::abort(reason)); }

void PipeHandler::pause() { paused_ = true; }

void PipeHandler::resume() {
    heard_ = Clock::now().time_since_epoch().count();
    paused_ = false;
}

}  // namespace rankexec
