// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include <zmq.hpp>

#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/resources.hpp"
#include "rankexec/ipc/hub/end_thread.hpp"
#include "rankexec/ipc/hub/hub.hpp"
#include "rankexec/ipc/hub/socket_monitor.hpp"

namespace rankexec::hub {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kDescriptorsNeeded = 32;
constexpr std::size_t kDescriptorsToReconnect = 12;
constexpr int kMostQueued = 4096;
constexpr milliseconds kLinger{500};
/// This socket is closed before ZeroMQ connects it again. Without reconnecting (-1) it would end the pipe under a
/// message of which only the first parts are read, and abort the process over that (4.3.4, fq.cpp).
constexpr int kNever = 24 * 60 * 60 * 1000;
/// Between two tries to connect: doubles from the first to the last, each by chance up to half of it shorter, so that
/// the many who have lost the same hub do not come back at the same instant.
constexpr milliseconds kFirstPause{50};
constexpr milliseconds kLongestPause{1000};
/// Beside the time in which a connection is to be made.
constexpr milliseconds kHandshakeTime{3000};

class Client final : public HubClient {
public:
    explicit Client(Options options)
        : options_(std::move(options)),
          session_(random_run_id()),
          chance_(std::random_device{}()),
          hop_(thread_.loop(), options_.limits.message_bytes,
               [this](const std::string& /*session*/, const Envelope& envelope, const Body& body) {
                   return send(envelope, body);
               }) {
        // Here, where a wrong endpoint can be told.
        open();
    }

    ~Client() override { close(); }

    // ---- any thread ----

    void handle(const std::string& topic, Handler handler) override { handlers_.add(topic, std::move(handler)); }

    void request(const std::string& to, const std::string& topic, Shareable content, Milliseconds timeout,
                 OnReply on_reply) override {
        auto reply = reading(std::move(on_reply), options_.limits);
        auto body = encode_body(topic, content, options_.limits);
        const auto wrong = body ? peer_name_error(to) : body.error();
        if (!wrong.empty()) {
            const auto refused = no_reply(ReturnCode::bad_request_data, wrong);
            if (!thread_.post([reply, refused] { reply(RawReply(refused)); })) reply(end_closed());
            return;
        }
        const auto question = Hop::Question{topic, std::move(*body), deadline_after(timeout),
                                            [this, to, topic, timeout] { return too_late(to, topic, timeout); }, reply};
        if (!thread_.post([this, to, question] { hop_.ask({to, random_run_id()}, question); })) reply(end_closed());
    }

    void tell(const std::string& to, const std::string& topic, Shareable content) override {
        auto body = encode_body(topic, content, options_.limits);
        const auto wrong = body ? peer_name_error(to) : body.error();
        if (!wrong.empty()) return log::error("not told to " + to + ": " + wrong);
        thread_.post([this, to, topic, body = std::move(*body)] {
            if (welcomed_) (void)send({MessageType::tell, to, random_run_id(), topic, 0}, body);
        });
    }

    void post(std::function<void()> work) override {
        thread_.post([work = std::move(work)] { guarded("posted work", work); });
    }

    void start() override {
        thread_.post([this] { tick(); });
        thread_.start();
    }

    void close() override {
        thread_.stop([this] {
            closed_ = true;
            const bool was_connected = std::exchange(welcomed_, false);
            if (was_connected) (void)send(bare(MessageType::bye), nullptr);
            drop_connection(kLinger);
            set_state([](State& state) { state.closed = true, state.connected = false; });
            hop_.fail_all(end_closed());
            if (was_connected && options_.on_lost) {
                guarded("a lost connection", [this] { options_.on_lost("this end was closed"); });
            }
        });
    }

    [[nodiscard]] bool connected() const override {
        const std::lock_guard lock(mutex_);
        return state_.connected;
    }

    [[nodiscard]] bool wait_connected(Milliseconds timeout) override {
        std::unique_lock lock(mutex_);
        changed_.wait_until(lock, deadline_after(timeout),
                            [this] { return state_.connected || state_.refused || state_.closed; });
        return state_.connected;
    }

    [[nodiscard]] std::string name() const override {
        const std::lock_guard lock(mutex_);
        return state_.name;
    }

private:
    struct State {
        bool connected = false;
        bool refused = false;
        bool closed = false;
        std::string name;
    };

    static RawReply end_closed() { return no_reply(ReturnCode::task_aborted, "this end of the hub was closed"); }

    // ---- everything from here on is on the loop's thread, or before there is one ----

    void set_state(const std::function<void(State&)>& change) {
        {
            const std::lock_guard lock(mutex_);
            change(state_);
        }
        changed_.notify_all();
    }

    RawReply too_late(const std::string& to, const std::string& topic, Milliseconds timeout) {
        const auto within = " within " + std::to_string(timeout.count()) + " ms";
        if (!welcomed_) {
            return no_reply(ever_welcomed_ ? ReturnCode::task_timeout : ReturnCode::not_ready,
                            "the hub at " + options_.connect + " was not reached" + within +
                                (trouble_.empty() ? "" : ": " + trouble_));
        }
        return no_reply(ReturnCode::task_timeout, to + " has not answered " + topic + within);
    }

    Hop::Sent send(const Envelope& envelope, const Body& body) {
        if (!watch_) return Hop::Sent::gone;
        watch_->touched();
        std::vector<wire::Frame> parts{encode_envelope(envelope)};
        if (body) parts.insert(parts.end(), body->begin(), body->end());
        try {
            return send_parts(socket_, parts) ? Hop::Sent::yes : Hop::Sent::full;
        } catch (const zmq::error_t& error) {
            log::debug("hub: " + std::string(error.what()));
            return Hop::Sent::gone;
        }
    }

    // -- the connection: a socket for each, so that nothing of one is found on the next

    void open() {
        socket_ = zmq::socket_t(context_, zmq::socket_type::dealer);
        set_common_options(socket_, kPartBytes + kCurveBytes);
        socket_.set(zmq::sockopt::sndhwm, kMostQueued);
        socket_.set(zmq::sockopt::reconnect_ivl, kNever);
        socket_.set(zmq::sockopt::connect_timeout, static_cast<int>(options_.gone_after.count()));
        set_heartbeats(socket_, options_.gone_after);
        // The hub knows the limit from the first heartbeat on, so that comes soon.
        socket_.set(zmq::sockopt::heartbeat_ivl, std::max(10, static_cast<int>(options_.gone_after.count() / 20)));
        socket_.set(zmq::sockopt::heartbeat_ttl, static_cast<int>(options_.gone_after.count()));
        set_keepalive(socket_);
        set_key(ZMQ_CURVE_SERVERKEY, options_.hub_key);
        set_key(ZMQ_CURVE_PUBLICKEY, options_.keys.public_key);
        set_key(ZMQ_CURVE_SECRETKEY, options_.keys.secret_key);
        ++connections_;
        monitor_.emplace(thread_.loop(), context_, socket_, "hub-monitor-" + std::to_string(connections_),
                         ZMQ_EVENT_ALL, [this](std::uint16_t event, std::uint32_t) { on_event(event); });
        watch_.emplace(thread_.loop(), socket_,
                       [this](std::vector<zmq::message_t>&& parts) { receive(std::move(parts)); });
        socket_.connect(options_.connect);
        // Should nothing ever be heard of it.
        giving_up_ = thread_.loop().call_after(options_.gone_after + kHandshakeTime,
                                               [this] { connect_again("no answer to the handshake"); });
    }

    void set_key(int option, const PublicKey& key) {
        if (zmq_setsockopt(socket_.handle(), option, key.data(), key.size()) != 0) throw zmq::error_t();
    }

    void drop_connection(milliseconds linger) {
        thread_.loop().cancel(giving_up_);
        watch_.reset();
        monitor_.reset();
        if (socket_) socket_.set(zmq::sockopt::linger, static_cast<int>(linger.count()));
        socket_.close();
    }

    void on_event(std::uint16_t event) {
        switch (event) {
            case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
                thread_.loop().cancel(giving_up_);
                (void)send({MessageType::hello, {}, session_, {}, connections_}, nullptr);
                break;
            case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
                refused("the hub at " + options_.connect + " does not know this key");
                connect_again(trouble_);
                break;
            case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
                refused("what listens at " + options_.connect + " is no hub, or has another key");
                connect_again(trouble_);
                break;
            case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                // A hub that ends does the same; one that cannot read what was sent does it each time.
                if (++cut_handshakes_ >= kCutHandshakes) {
                    refused("what listens at " + options_.connect +
                            " ends the connection in its handshake; see whether the hub's key is right");
                }
                connect_again("the connection was ended in its handshake");
                break;
            case ZMQ_EVENT_DISCONNECTED: connect_again("the connection to the hub is lost"); break;
            case ZMQ_EVENT_CLOSED: connect_again("nothing listens at " + options_.connect); break;
            default: break;
        }
    }

    /// Not within the callback of what goes.
    void connect_again(const std::string& why) {
        if (std::exchange(connecting_again_, true)) return;
        trouble_ = why;
        lost(why);
        thread_.loop().cancel(giving_up_);
        thread_.loop().call_after(next_pause(), [this] { reopen(); });
    }

    void reopen() {
        if (closed_) return;  // and this was the timer's turn
        connecting_again_ = false;
        drop_connection(milliseconds(0));
        if (available_descriptors() < kDescriptorsToReconnect) {
            return connect_again("too few file descriptors are left; raise the limit (ulimit -n)");
        }
        try {
            open();
        } catch (const std::exception& error) {
            connect_again(error.what());
        }
    }

    milliseconds next_pause() {
        const auto longest = std::exchange(pause_, std::min(2 * pause_, kLongestPause));
        return milliseconds(std::uniform_int_distribution<std::int64_t>(longest.count() / 2, longest.count())(chance_));
    }

    void lost(const std::string& why) {
        if (!std::exchange(welcomed_, false)) return;
        hop_.set_target(std::nullopt);
        set_state([](State& state) { state.connected = false; });
        if (options_.on_lost) {
            guarded("a lost connection", [&] { options_.on_lost(why); });
        }
    }

    void refused(const std::string& why) {
        trouble_ = why;
        // Each try ends alike.
        if (std::exchange(refused_why_, why) != why && options_.on_refused) {
            guarded("a refusal", [&] { options_.on_refused(why); });
        }
        // After the callback: whoever waits for this knows the reason then.
        set_state([](State& state) { state.refused = true; });
    }

    // -- messages

    void receive(std::vector<zmq::message_t>&& parts) {
        const auto envelope = decode_envelope({static_cast<const std::byte*>(parts[0].data()), parts[0].size()});
        if (!envelope) {
            log::warning("from the hub: " + envelope.error().what);
            if (envelope.error().other_version) {
                refused(envelope.error().what);
                connect_again(trouble_);
            }
            return;
        }
        auto content = std::make_shared<std::vector<wire::Frame>>();
        content->reserve(parts.size() - 1);
        for (std::size_t part = 1; part < parts.size(); ++part) content->push_back(to_frame(std::move(parts[part])));
        on_message(*envelope, content);
    }

    void on_message(const Envelope& envelope, const Body& body) {
        switch (envelope.type) {
            case MessageType::welcome: return on_welcome(envelope);
            case MessageType::refused: return on_refused(envelope);
            case MessageType::request: return on_request(envelope, body);
            case MessageType::reply:
                (void)hop_.replied({envelope.peer, envelope.id}, {return_code_from(envelope.number).value(), body});
                (void)send({MessageType::got, envelope.peer, envelope.id, {}, 0}, nullptr);
                return;
            case MessageType::got: return hop_.got({envelope.peer, envelope.id});
            case MessageType::tell:
                return handlers_.handle(envelope.peer, envelope.topic, body, options_.limits, [](RawReply&&) {});
            case MessageType::bye: return connect_again("the hub has closed");
            default: return;
        }
    }

    void on_welcome(const Envelope& welcome) {
        if (welcome.number != connections_ || connecting_again_) return;
        welcomed_ = ever_welcomed_ = true;
        cut_handshakes_ = 0;
        pause_ = kFirstPause;
        trouble_.clear();
        refused_why_.clear();
        set_state([&](State& state) {
            state.connected = true;
            state.refused = false;
            state.name = welcome.peer;
        });
        hop_.set_target(std::string());
        hop_.connected({});
        if (options_.on_connected) guarded("a connection", options_.on_connected);
    }

    void on_refused(const Envelope& refusal) {
        switch (static_cast<Refusal>(refusal.number)) {
            case Refusal::occupied:
                // It stays connected: a welcome comes when that one has gone.
                return refused("another process with the same key is connected to the hub; end that one");
            case Refusal::version:
                refused("the hub at " + options_.connect + " speaks another version; install the same rankexec there");
                break;
            default: refused("the hub at " + options_.connect + " does not know this key any more"); break;
        }
        connect_again(trouble_);
    }

    void on_request(const Envelope& envelope, const Body& body) {
        const Hop::Key key{envelope.peer, envelope.id};
        switch (hop_.asked(key, {}, size_of(body), deadline_of(envelope))) {
            case Hop::Asked::known: return;
            case Hop::Asked::full: {
                const auto why = no_reply(ReturnCode::bad_request_data, "too many requests are under way here");
                (void)send({MessageType::reply, key.first, key.second, {}, static_cast<std::int64_t>(why.code)},
                           why.body);
                return;
            }
            case Hop::Asked::fresh: break;
        }
        handlers_.handle(key.first, envelope.topic, body, options_.limits,
                         [this, gate = thread_.gate(), key](RawReply&& reply) {
                             gate->post([this, key, reply = std::move(reply)] { hop_.answer(key, RawReply(reply)); });
                         });
    }

    void tick() {
        hop_.sweep();
        thread_.loop().call_after(options_.heartbeat_interval, [this] { tick(); });
    }

    static constexpr int kCutHandshakes = 3;

    Options options_;
    std::string session_;
    std::mt19937 chance_;
    EndThread thread_;
    zmq::context_t context_;
    zmq::socket_t socket_;
    std::optional<SocketMonitor> monitor_;
    std::optional<SocketWatch> watch_;
    Handlers handlers_;
    Hop hop_;
    EventLoop::TimerId giving_up_ = 0;
    std::int64_t connections_ = 0;
    bool connecting_again_ = false;
    bool closed_ = false;
    bool welcomed_ = false;
    bool ever_welcomed_ = false;
    int cut_handshakes_ = 0;
    milliseconds pause_ = kFirstPause;
    std::string trouble_;  ///< why there is no connection
    std::string refused_why_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    State state_;
};

}  // namespace

tl::expected<std::unique_ptr<HubClient>, Failure> HubClient::make(Options options) {
    const auto refused = [](const std::string& what) {
        return tl::unexpected(failure(ReturnCode::launch_error, "no connection to a hub: " + what));
    };
    if (!options.connect.starts_with("tcp://") && !options.connect.starts_with("ipc://")) {
        return refused(options.connect + " is no endpoint; write tcp://ADDRESS:PORT or ipc://PATH");
    }
    if (const auto free = available_descriptors(); free < kDescriptorsNeeded) {
        return refused("only " + std::to_string(free) + " file descriptors are left; raise the limit (ulimit -n)");
    }
    if (const auto lack = lack_of_threads(kZmqThreads + 1)) return refused(*lack);
    const auto endpoint = options.connect;
    try {
        return std::make_unique<Client>(std::move(options));
    } catch (const std::exception& error) {
        return refused("at " + endpoint + ": " + error.what());
    }
}

}  // namespace rankexec::hub
