// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/hub/end_thread.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <utility>

#include "rankexec/core/system/log.hpp"
#include "rankexec/ipc/pipe/pipe_message.hpp"

namespace rankexec::hub {
namespace {

constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24 * 365);

/// Answers once; that nobody will, when it goes before.
class Answering {
public:
    Answering(std::function<void(RawReply&&)> answer, wire::Limits limits)
        : answer_(std::move(answer)), limits_(limits) {}
    ~Answering() {
        if (!done_.exchange(true)) {
            answer_(no_reply(ReturnCode::bad_request_data, "whoever was asked has given no answer"));
        }
    }
    Answering(const Answering&) = delete;
    Answering& operator=(const Answering&) = delete;

    void give(const Shareable& content) {
        if (done_.exchange(true)) return;
        auto body = encode_body("reply", content, limits_);
        answer_(body ? RawReply{ReturnCode::ok, std::move(*body)}
                     : no_reply(ReturnCode::bad_request_data, "the answer cannot be sent: " + body.error()));
    }

private:
    std::function<void(RawReply&&)> answer_;
    wire::Limits limits_;
    std::atomic<bool> done_ = false;
};

Reply read(RawReply&& raw, const wire::Limits& limits) {
    auto content = decode_body(raw.body, limits);
    if (!content) {
        return tl::unexpected(
            failure(ReturnCode::execution_result_error, "the reply cannot be read: " + content.error()));
    }
    if (raw.code == ReturnCode::ok) return std::move(*content);
    auto why = content->failure.value_or(Failure{});
    why.code = raw.code;
    return tl::unexpected(std::move(why));
}

}  // namespace

EndThread::EndThread() : gate_(std::make_shared<Gate>()) { gate_->loop = &loop_; }

bool EndThread::Gate::post(std::function<void()> work) {
    const std::lock_guard lock(mutex);
    if (loop == nullptr) return false;
    loop->post(std::move(work));
    return true;
}

bool EndThread::post(std::function<void()> work) { return gate_->post(std::move(work)); }

void EndThread::start() {
    const std::lock_guard lock(stopping_);
    if (stopped_ || thread_.joinable()) return;
    thread_ = std::thread([this] { loop_.run(); });
}

bool EndThread::stop(const std::function<void()>& last) {
    const std::lock_guard lock(stopping_);
    if (std::exchange(stopped_, true)) return false;
    const bool running = thread_.joinable();
    {
        const std::lock_guard gate_lock(gate_->mutex);
        gate_->loop = nullptr;
        if (running) loop_.post(last);
        if (running) loop_.stop();
    }
    if (running) {
        thread_.join();
    } else {
        // What was posted before it could run.
        loop_.run_once(std::chrono::milliseconds(0));
        last();
    }
    return true;
}

void Handlers::add(const std::string& topic, HubEnd::Handler handler) {
    if (const auto error = topic_error(topic)) throw std::invalid_argument("handle: " + *error);
    handlers_[topic] = std::move(handler);
}

void Handlers::handle(const std::string& from, const std::string& topic, const Body& body, const wire::Limits& limits,
                      std::function<void(RawReply&&)> answer) const {
    const auto found = handlers_.find(topic);
    if (found == handlers_.end()) {
        return answer(no_reply(ReturnCode::bad_request_data, "nobody takes the topic " + topic + " there"));
    }
    auto content = decode_body(body, limits);
    if (!content) {
        return answer(no_reply(ReturnCode::bad_request_data, "the request cannot be read: " + content.error()));
    }
    const auto answering = std::make_shared<Answering>(std::move(answer), limits);
    try {
        found->second({from, topic, std::move(*content)}, [answering](Shareable reply) { answering->give(reply); });
    } catch (const std::exception& error) {
        log::error("the handler of topic " + topic + " has failed: " + error.what());
        answering->give(Shareable::failed(ReturnCode::execution_exception, error.what()));
    }
}

Hop::OnReply reading(HubEnd::OnReply on_reply, wire::Limits limits) {
    return [on_reply = std::move(on_reply), limits](RawReply&& raw) {
        guarded("a reply", [&] { on_reply(read(std::move(raw), limits)); });
    };
}

Failure failure(ReturnCode code, std::string message) {
    Failure failure;
    failure.code = code;
    failure.message = std::move(message);
    return failure;
}

Hop::Clock::time_point deadline_after(HubEnd::Milliseconds timeout) {
    return Hop::Clock::now() + std::clamp(timeout, std::chrono::milliseconds(0), kLongest);
}

Hop::Clock::time_point deadline_of(const Envelope& envelope) {
    return deadline_after(std::chrono::milliseconds(std::min<std::int64_t>(envelope.number, kLongest.count())));
}

void guarded(const char* what, const std::function<void()>& callback) {
    try {
        callback();
    } catch (const std::exception& error) {
        log::error(std::string("the callback on ") + what + " has thrown: " + error.what());
    }
}

}  // namespace rankexec::hub
