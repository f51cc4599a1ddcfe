// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/pipe/zeromq_pipe.hpp"

#include <atomic>
#include <future>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/resources.hpp"
#include "rankexec/ipc/pipe/pipe_link.hpp"
#include "rankexec/ipc/pipe/pipe_mailbox.hpp"

namespace rankexec {
namespace {

using pipe::FrameType;
using pipe::Lane;

[[noreturn]] void refuse(const std::string& what) {
    throw ConfigurationError(ConfigurationError::Kind::option, "ZeroMQ pipe: " + what);
}

Failure launch_failure(std::string what) {
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = "ZeroMQ pipe: " + std::move(what);
    return failure;
}

}  // namespace

/// The pipe itself. Calls come on any thread; the link belongs to the loop's thread from open() to close().
class ZeromqPipe::Core {
public:
    explicit Core(Options options) : options_(std::move(options)), mailbox_(options_.queued_messages) {
        if (options_.queued_messages == 0) refuse("queued_messages is 0; there must be room for one message");
        const bool active = options_.mode == PipeMode::active;
        if (active && (options_.tcp || !options_.advertise_address.empty() || !options_.run_directory.empty())) {
            refuse("tcp, advertise_address and run_directory are the passive end's; the active end has credentials");
        }
        if (!active && !options_.credentials.empty()) refuse("the passive end makes the credentials itself");
        if (!active && !options_.tcp && !options_.advertise_address.empty()) {
            refuse("advertise_address is " + options_.advertise_address + ", but tcp is off");
        }
        if (!active) return;
        auto bootstrap = Bootstrap::from_text(options_.credentials);
        if (!bootstrap) refuse("the credentials are none of a pipe: " + bootstrap.error());
        bootstrap_ = std::move(*bootstrap);
    }

    ~Core() { close(); }

    tl::expected<void, Failure> open(Milliseconds timeout) {
        if (state_ != State::fresh) return tl::unexpected(launch_failure("was opened before; a pipe is opened once"));
        if (const auto lack = lack_of_threads(1)) return tl::unexpected(launch_failure(*lack));
        try {
            loop_.emplace();
        } catch (const std::system_error& error) {
            return tl::unexpected(launch_failure(error.what()));
        }
        if (auto failure = open_link(timeout)) {
            link_.reset();
            return tl::unexpected(std::move(*failure));
        }
        state_ = State::open;
        thread_ = std::thread([this] {
            loop_->run();
            link_.reset();
        });
        return {};
    }

    void close() {
        const std::lock_guard lock(closing_);
        if (state_.exchange(State::closed) != State::open) return;
        peer_heard_ = false;
        mailbox_.room.notify();
        loop_->post([this] {
            if (!link_->ready() || !say(Lane::signs, FrameType::bye)) peer_heard_ = true;
            mailbox_.room.notify();
        });
        const auto deadline = pipe::deadline_after(kPipeCloseTimeout);
        while (true) {
            const auto seen = mailbox_.room.changes();
            if (peer_heard_ || pipe::Clock::now() >= deadline) break;
            mailbox_.room.wait(seen, deadline);
        }
        loop_->stop();
        thread_.join();
    }

    void clear() {
        if (state_ != State::open) return;
        mailbox_.clear();
        const std::lock_guard lock(mutex_);
        broken_.clear();
    }

    Result send(const pipe::EncodedMessage& message, Milliseconds timeout, const Signal& cancel) {
        if (auto error = not_usable()) return tl::unexpected(std::move(*error));
        step(PipeStep::encoded);
        auto frames = pipe::to_frames(session_, message);
        if (message.topic == kHeartbeatTopic) {
            loop_->post([this, frames = std::move(frames)]() mutable { beat(std::move(frames)); });
            return {};
        }
        mailbox_.hold(message.id, std::move(frames));
        loop_->post([this] { put(); });
        auto result = wait_until_taken(message.id, timeout, cancel);
        mailbox_.release(message.id);
        return result;
    }

    Received receive(Milliseconds timeout, const Signal& cancel) {
        const auto subscription = mailbox_.room.follow(cancel);
        const auto deadline = pipe::deadline_after(timeout);
        while (true) {
            const auto seen = mailbox_.room.changes();
            if (state_ != State::open) return tl::unexpected(*not_usable());
            if (cancel.triggered()) return tl::unexpected(error(PipeError::Kind::cancelled, cancel.reason()));
            bool made_room = false;
            auto next = mailbox_.next(made_room);
            if (made_room) loop_->post([this] { (void)say(Lane::signs, FrameType::room); });
            if (next) return std::move(*next);
            if (auto broken = not_usable()) return tl::unexpected(std::move(*broken));
            if (pipe::Clock::now() >= deadline) return std::nullopt;
            mailbox_.room.wait(seen, deadline);
        }
    }

    std::string credentials() const {
        const std::lock_guard lock(mutex_);
        return credentials_;
    }
    std::uint64_t rejected() {
        // The loop runs until this is over.
        const std::lock_guard lock(closing_);
        if (state_ != State::open) return 0;
        std::promise<std::uint64_t> count;
        loop_->post([&] { count.set_value(link_->rejected()); });
        return count.get_future().get();
    }
    const Options& options() const { return options_; }
    std::string describe() const {
        return options_.mode == PipeMode::passive ? "ZeroMQ pipe, passive end" : "ZeroMQ pipe, active end";
    }
    PipeError error(PipeError::Kind kind, const std::string& what) const { return {kind, describe() + ": " + what}; }

private:
    enum class State : std::uint8_t { fresh, open, closed };

    std::optional<Failure> open_link(Milliseconds timeout) {
        pipe::PipeLink::Callbacks callbacks;
        callbacks.on_ready = [this] { on_ready(); };
        callbacks.on_frames = [this](const pipe::Envelope& envelope, std::vector<wire::Frame>&& frames) {
            on_frames(envelope, std::move(frames));
        };
        callbacks.on_bad = [this](const std::string& what) {
            mailbox_.take_error(error(PipeError::Kind::bad_message, what));
        };
        callbacks.on_lost = [this](bool final, const std::string& why) { on_lost(final, why); };
        if (options_.mode == PipeMode::active) {
            auto link = pipe::ActiveLink::open(*loop_, *bootstrap_, timeout, session_, std::move(callbacks));
            if (!link) return link.error();
            link_ = std::move(*link);
            return std::nullopt;
        }
        TransportServer::Options server;
        server.run_directory = options_.run_directory;
        server.tcp = options_.tcp;
        server.advertise_address = options_.advertise_address;
        server.heartbeat_timeout = std::chrono::milliseconds(0);
        server.limits = options_.limits;
        auto link = pipe::PassiveLink::open(*loop_, server, session_, std::move(callbacks));
        if (!link) return link.error();
        credentials_ = (*link)->credentials();
        link_ = std::move(*link);
        return std::nullopt;
    }

    [[nodiscard]] std::optional<PipeError> not_usable() const {
        if (state_ != State::open) {
            return error(PipeError::Kind::closed, state_ == State::fresh ? "has not been opened" : "was closed");
        }
        const std::lock_guard lock(mutex_);
        if (!broken_.empty()) return error(PipeError::Kind::broken, broken_);
        return std::nullopt;
    }

    Result wait_until_taken(const std::string& id, Milliseconds timeout, const Signal& cancel) {
        const auto subscription = mailbox_.room.follow(cancel);
        const auto deadline = pipe::deadline_after(timeout);
        while (true) {
            const auto seen = mailbox_.room.changes();
            if (mailbox_.confirmed(id)) {
                step(PipeStep::confirmed);
                return {};
            }
            if (auto broken = not_usable()) return tl::unexpected(std::move(*broken));
            if (cancel.triggered()) return tl::unexpected(error(PipeError::Kind::cancelled, cancel.reason()));
            if (pipe::Clock::now() >= deadline) {
                const std::lock_guard lock(mutex_);
                return tl::unexpected(error(PipeError::Kind::not_taken,
                                            "the peer has not taken the message within " +
                                                std::to_string(timeout.count()) + " ms" +
                                                (lost_.empty() ? "; see whether it still runs" : ": " + lost_)));
            }
            mailbox_.room.wait(seen, deadline);
        }
    }

    // ---- on the loop's thread ----

    bool say(Lane lane, FrameType type, const std::string& id = {}) {
        return link_->send(lane, pipe::to_frames(session_, type, id));
    }

    /// Before there is a connection the last one is kept for it, because it tells the peer that this end is there.
    void beat(std::vector<wire::Frame>&& heartbeat) {
        if (!link_->ready() || !link_->send(Lane::signs, heartbeat)) first_beat_ = std::move(heartbeat);
    }

    void put() {
        if (!link_->ready()) return;
        bool all = true;
        for (const auto& frames : mailbox_.to_put(connection_)) {
            all = link_->send(Lane::messages, frames) && all;
            step(PipeStep::published);
        }
        if (!all) mailbox_.put_again();
    }

    void on_ready() {
        ++connection_;
        {
            const std::lock_guard lock(mutex_);
            broken_.clear();
            lost_.clear();
        }
        if (!first_beat_.empty()) beat(std::exchange(first_beat_, {}));
        put();
    }

    void on_frames(const pipe::Envelope& envelope, std::vector<wire::Frame>&& frames) {
        switch (envelope.type) {
            case FrameType::message: on_message(envelope, frames); break;
            case FrameType::taken: mailbox_.confirm(envelope.id); break;
            case FrameType::room:
                mailbox_.put_again();
                put();
                break;
            case FrameType::bye: on_bye(); break;
            case FrameType::hello:
            case FrameType::refused: break;
        }
    }

    void on_message(const pipe::Envelope& envelope, const std::vector<wire::Frame>& frames) {
        auto message = pipe::decode_message(envelope, frames, options_.limits);
        if (!message) {
            // It would be no better the next time.
            mailbox_.take_error(error(PipeError::Kind::bad_message, message.error()));
            (void)say(Lane::signs, FrameType::taken, envelope.id);
            return;
        }
        if (message->is_heartbeat()) return mailbox_.take_heartbeat(std::move(*message));
        step(PipeStep::arrived);
        if (mailbox_.take(std::move(*message)) == pipe::PipeMailbox::Taken::no_room) return;
        (void)say(Lane::signs, FrameType::taken, envelope.id);
        step(PipeStep::claimed);
    }

    void on_bye() {
        if (state_ != State::closed) {
            (void)say(Lane::signs, FrameType::bye);
            const std::lock_guard lock(mutex_);
            broken_ = "the peer has closed it";
        }
        peer_heard_ = true;
        link_->forget_peer();
        mailbox_.room.notify();
    }

    void on_lost(bool final, const std::string& why) {
        {
            const std::lock_guard lock(mutex_);
            lost_ = why;
            if (final) broken_ = why;
        }
        if (!link_ || !link_->ready()) peer_heard_ = true;
        mailbox_.room.notify();
    }

    void step(PipeStep at) const {
        if (options_.on_step) options_.on_step(at);
    }

    Options options_;
    std::optional<Bootstrap> bootstrap_;
    std::string session_ = random_run_id();
    pipe::PipeMailbox mailbox_;
    std::atomic<State> state_ = State::fresh;
    std::atomic<bool> peer_heard_ = false;  ///< of our closing; or there is no peer to hear of it
    std::optional<EventLoop> loop_;
    std::unique_ptr<pipe::PipeLink> link_;
    std::uint64_t connection_ = 0;         ///< counts how often both lanes came up
    std::vector<wire::Frame> first_beat_;  ///< for the next connection; the loop's thread
    mutable std::mutex mutex_;
    std::string credentials_;
    std::string broken_;  ///< why nothing works; empty: it does
    std::string lost_;    ///< why there is no connection, for the message of whoever waits in vain
    std::mutex closing_;
    std::thread thread_;
};

ZeromqPipe::ZeromqPipe(Options options) : core_(std::make_unique<Core>(std::move(options))) {}
ZeromqPipe::~ZeromqPipe() = default;

std::string ZeromqPipe::credentials() const { return core_->credentials(); }
std::uint64_t ZeromqPipe::rejected() const { return core_->rejected(); }
tl::expected<void, Failure> ZeromqPipe::open(Milliseconds timeout) { return core_->open(timeout); }
void ZeromqPipe::close() { core_->close(); }
void ZeromqPipe::clear() { core_->clear(); }

tl::expected<pipe::EncodedMessage, PipeError> ZeromqPipe::encode(const PipeMessage& message) const {
    auto encoded = pipe::encode(message, core_->options().limits);
    if (!encoded) return tl::unexpected(core_->error(PipeError::Kind::bad_message, encoded.error()));
    return std::move(*encoded);
}

Pipe::Result ZeromqPipe::send(const pipe::EncodedMessage& message, Milliseconds timeout, const Signal& cancel) {
    return core_->send(message, timeout, cancel);
}
Pipe::Received ZeromqPipe::receive(Milliseconds timeout, const Signal& cancel) {
    return core_->receive(timeout, cancel);
}
std::string ZeromqPipe::describe() const { return core_->describe(); }

}  // namespace rankexec
