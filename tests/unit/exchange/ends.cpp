// SPDX-License-Identifier: Apache-2.0
#include "ends.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>

namespace rankexec::test {

using std::chrono::milliseconds;

BaseFolder::BaseFolder() {
    path_ = (std::filesystem::temp_directory_path() / "rxe-XXXXXX").string();
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
}

BaseFolder::~BaseFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

RawEnd::RawEnd(Side side, const exchange::MeetingPlace& place, const exchange::TcpAddress& tcp) {
    exchange::Endpoint::Callbacks callbacks;
    callbacks.on_up = [this](const std::string& /*session*/) {
        const std::lock_guard lock(mutex_);
        up_ = true;
        changed_.notify_all();
    };
    callbacks.on_down = [this](const std::string& /*why*/) {
        const std::lock_guard lock(mutex_);
        up_ = false;
        changed_.notify_all();
    };
    callbacks.on_message = [this](exchange::ExchangeMessage&& message, const std::string& id,
                                  const std::string& request_id) {
        const std::lock_guard lock(mutex_);
        if (answer_ && std::holds_alternative<exchange::Heartbeat>(message)) (void)endpoint_->send(*answer_, id);
        inbox_.push_back({std::move(message), id, request_id});
        changed_.notify_all();
    };
    callbacks.on_bad = [](const std::string& topic, const std::string& /*id*/, const std::string& why) {
        ADD_FAILURE() << topic << ": " << why;
    };
    callbacks.on_refused = [this](const std::string& why) {
        const std::lock_guard lock(mutex_);
        refusal_ = why;
        changed_.notify_all();
    };
    auto made = side == Side::agent ? exchange::Endpoint::listen(place, tcp, {}, std::move(callbacks))
                                    : exchange::Endpoint::connect(place, tcp, {}, std::move(callbacks));
    EXPECT_TRUE(made) << made.error();
    endpoint_ = std::move(*made);
    endpoint_->start();
}

void RawEnd::wait_until_up() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kLong, [this] { return up_; }));
}

bool RawEnd::up() {
    const std::lock_guard lock(mutex_);
    return up_;
}

std::string RawEnd::refusal() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kLong, [this] { return !refusal_.empty(); });
    return refusal_;
}

std::string RawEnd::why_down(const std::string& expected) {
    const auto limit = std::chrono::steady_clock::now() + kLong;
    while (true) {
        std::promise<std::string> said;
        endpoint_->post([&] { said.set_value(endpoint_->why_down()); });
        auto why = said.get_future().get();
        if (why.find(expected) != std::string::npos || std::chrono::steady_clock::now() > limit) return why;
    }
}

void RawEnd::send(const exchange::Outgoing& message) {
    wait_until_up();
    const auto sent = std::make_shared<std::promise<bool>>();
    auto result = sent->get_future();
    endpoint_->post([this, message, sent] { sent->set_value(endpoint_->send(message)); });
    EXPECT_TRUE(result.get());
}

std::string RawEnd::send(exchange::ExchangeMessage message, std::string request_id) {
    auto encoded = endpoint_->encode(std::move(message), std::move(request_id));
    EXPECT_TRUE(encoded);
    send(*encoded);
    return encoded->message.id;
}

void RawEnd::answer_heartbeats(std::optional<exchange::HeartbeatAnswer> answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
}

void Recorder::handle_event(const std::string& type, Context& context) {
    const std::lock_guard lock(mutex_);
    events_.push_back({type, context.clone()});
    types_.push_back(type);
    changed_.notify_all();
}

Recorder::Event Recorder::expect(const std::string& type) {
    std::unique_lock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + kLong;
    while (true) {
        while (!events_.empty()) {
            auto first = std::move(events_.front());
            events_.pop_front();
            if (first.type == type) return first;
        }
        if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) break;
    }
    ADD_FAILURE() << "no event " << type;
    return {type, Context()};
}

int Recorder::count(const std::string& type) {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(std::ranges::count(types_, type));
}

exchange::MeetingPlace Exchange::place() const {
    auto opened = exchange::open_meeting_place(name(), base.path(), {});
    EXPECT_TRUE(opened) << opened.error();
    return std::move(*opened);
}

IpcExchangerOptions Exchange::exchanger_options() const {
    IpcExchangerOptions options;
    options.site = name().site;
    options.agent_id = name().id;
    options.base_folder = base.path();
    options.heartbeat_interval = milliseconds(20);
    options.send_timeout = milliseconds(50);
    options.acknowledge_timeout = milliseconds(200);
    options.resend_interval = milliseconds(50);
    return options;
}

agent::AttachOptions Exchange::agent_options() const {
    agent::AttachOptions options;
    options.site = name().site;
    options.id = name().id;
    options.base_folder = base.path();
    options.resend_interval = milliseconds(50);
    return options;
}

IpcExchanger& Exchange::begin(IpcExchangerOptions options) {
    recorder = &dynamic_cast<Recorder&>(engine->add("recorder", std::make_unique<Recorder>()));
    exchanger = &dynamic_cast<IpcExchanger&>(engine->add("ipc", std::make_unique<IpcExchanger>(std::move(options))));
    const auto begun = exchanger->initialise(engine->new_context());
    EXPECT_TRUE(begun) << begun.error().message;
    return *exchanger;
}

std::unique_ptr<agent::AttachedAgent> Exchange::attach() const {
    auto made = std::make_unique<agent::AttachedAgent>(agent_options());
    const auto started = made->start();
    EXPECT_TRUE(started) << started.error().message;
    return made;
}

std::unique_ptr<RawEnd> Exchange::raw_agent() const {
    auto end = std::make_unique<RawEnd>(RawEnd::Side::agent, place());
    end->answer_heartbeats(exchange::HeartbeatAnswer{});
    return end;
}

std::unique_ptr<RawEnd> Exchange::raw_exchanger() const {
    return std::make_unique<RawEnd>(RawEnd::Side::exchanger, place());
}

std::future<Shareable> Exchange::execute(const std::string& task, Shareable input, Signal abort) {
    return std::async(std::launch::async, [this, task, input = std::move(input), abort] {
        auto context = engine->new_context();
        return exchanger->execute(task, input, context, abort);
    });
}

void Exchange::wait_for(ExchangerState state, milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    auto now = exchanger->report().state;
    while (now != state && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(milliseconds(1));
        now = exchanger->report().state;
    }
    EXPECT_EQ(to_string(now), to_string(state));
}

exchange::TaskAnswer accepting(const exchange::TaskRef& ref) { return {ref, true, {}}; }

exchange::GiveResult result_of(const exchange::TaskRef& ref, std::int64_t number) {
    exchange::GiveResult result;
    result.ref = ref;
    result.result.body = number;
    return result;
}

exchange::GiveTask task_of(const std::string& name, char digit, std::int64_t attempt) {
    exchange::GiveTask task;
    task.ref = {std::string(32, digit), attempt};
    task.name = name;
    return task;
}

exchange::HeartbeatAnswer holding(const exchange::TaskRef& ref, bool fetched) { return {{{ref, fetched}}}; }

std::string kind_of(const agent::AgentError& error) { return std::string(to_string(error.kind)); }

}  // namespace rankexec::test
