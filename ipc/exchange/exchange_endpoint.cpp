// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/exchange/exchange_endpoint.hpp"

#include <charconv>
#include <system_error>
#include <utility>
#include <vector>

#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/resources.hpp"
#include "rankexec/ipc/pipe/pipe_link.hpp"

namespace rankexec::exchange {
namespace {

using pipe::FrameType;
using pipe::Lane;

constexpr int kPorts = 2;
constexpr int kLastPort = 65535;
/// Names the exchange in bootstraps, which name runs otherwise; nobody compares it.
constexpr const char* kRunId = "00000000000000000000000000000000";

/// What the exchanger needs to reach an agent there: what the agent's own server would give it.
Bootstrap bootstrap_for(const MeetingPlace& place, const TcpAddress& tcp) {
    Bootstrap bootstrap{kRunId,
                        1,
                        1,
                        0,
                        PeerCredentials::derive(place.key, PeerRole::rank, 0).secret,
                        fixed_server_keys(place.key).public_key,
                        tcp.given() ? std::string() : host_identity(),
                        place.folder,
                        {},
                        {},
                        std::chrono::milliseconds(0)};
    if (tcp.given()) {
        bootstrap.addresses = {tcp.host};
        for (int port = 0; port < kPorts; ++port) bootstrap.ports.push_back(tcp.port + port);
    }
    return bootstrap;
}

}  // namespace

tl::expected<TcpAddress, std::string> TcpAddress::parse(std::string_view text) {
    if (text.empty()) return TcpAddress{};
    const auto refused = [&](const std::string& what) {
        return tl::unexpected("the address \"" + printable(text, 128) + "\" " + what + "; write HOST:PORT");
    };
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return refused("has no port");
    auto host = text.substr(0, colon);
    const auto number = text.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (host == "*") host = {};
    if (host.find_first_of(" \t\r\n/;[]") != std::string_view::npos) return refused("has no host's name");
    TcpAddress address{std::string(host), 0};
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), address.port);
    if (error != std::errc() || end != number.data() + number.size() || address.port < 1 ||
        address.port + kPorts - 1 > kLastPort) {
        return refused("has no port from 1 to " + std::to_string(kLastPort - kPorts + 1));
    }
    return address;
}

class Endpoint::Core {
public:
    Core(MeetingPlace place, TcpAddress tcp, const wire::Limits& limits, bool listens, Callbacks callbacks)
        : place_(std::move(place)),
          tcp_(std::move(tcp)),
          limits_(limits),
          listens_(listens),
          callbacks_(std::move(callbacks)) {}

    ~Core() {
        if (!thread_.joinable()) return;
        loop_->post([this] { (void)send(Lane::signs, pipe::to_frames(session_, FrameType::bye)); });
        loop_->stop();
        thread_.join();
    }

    std::string open() {
        try {
            loop_.emplace();
        } catch (const std::system_error& error) {
            return error.what();
        }
        return open_link();
    }

    void start() {
        thread_ = std::thread([this] {
            loop_->run();
            link_.reset();
        });
    }

    EventLoop& loop() { return *loop_; }

    bool send(Lane lane, const std::vector<wire::Frame>& frames) { return up_ && link_->send(lane, frames); }
    bool send(const Outgoing& message) {
        return send(message.sign ? Lane::signs : Lane::messages, pipe::to_frames(session_, message.message));
    }

    void connect_anew(const Secret& key) {
        if (listens_) return;
        place_.key = key;
        if (up_) down("it was silent");
        // Not from within one of the link's own calls.
        loop_->post([this] {
            link_.reset();
            if (const auto error = open_link(); !error.empty()) {
                log::error("the agent cannot be reached again: " + error);
                callbacks_.on_refused(error);
            }
        });
    }

    [[nodiscard]] const wire::Limits& limits() const { return limits_; }
    [[nodiscard]] bool up() const { return up_; }
    [[nodiscard]] std::uint64_t connection() const { return connection_; }
    [[nodiscard]] const std::string& peer() const { return peer_; }
    [[nodiscard]] const std::string& why_down() const { return why_down_; }
    [[nodiscard]] const Secret& key() const { return place_.key; }
    [[nodiscard]] std::uint64_t rejected() const { return link_ ? link_->rejected() : 0; }

private:
    std::string open_link() {
        pipe::PipeLink::Callbacks callbacks;
        callbacks.on_ready = [this] { on_ready(); };
        callbacks.on_frames = [this](const pipe::Envelope& envelope, std::vector<wire::Frame>&& frames) {
            on_frames(envelope, frames);
        };
        callbacks.on_bad = [this](const std::string& why) { callbacks_.on_bad({}, {}, why); };
        callbacks.on_lost = [this](bool final, const std::string& why) {
            down(why);
            if (final) callbacks_.on_refused(why);
        };
        if (!listens_) {
            auto link = pipe::ActiveLink::open(*loop_, bootstrap_for(place_, tcp_), std::chrono::milliseconds(0),
                                               session_, std::move(callbacks), TransportClient::Reach::whenever);
            if (!link) return link.error().message;
            link_ = std::move(*link);
            return {};
        }
        TransportServer::Options server;
        server.tcp = tcp_.given();
        server.advertise_address = tcp_.host;
        server.heartbeat_timeout = std::chrono::milliseconds(0);
        server.limits = limits_;
        server.place = TransportServer::FixedPlace{place_.folder, place_.key, tcp_.port};
        auto link = pipe::PassiveLink::open(*loop_, server, session_, std::move(callbacks));
        if (!link) return link.error().message;
        link_ = std::move(*link);
        return {};
    }

    void on_ready() {
        // The peer may have been lost and found between two callbacks.
        down("it has connected anew");
        ++connection_;
        peer_ = link_->peer();
        up_ = true;
        callbacks_.on_up(peer_);
    }

    void down(const std::string& why) {
        why_down_ = why;
        if (!std::exchange(up_, false)) return;
        callbacks_.on_down(why);
    }

    void on_frames(const pipe::Envelope& envelope, const std::vector<wire::Frame>& frames) {
        if (envelope.type == FrameType::bye) {
            // First: whoever has waited for its place may be up as soon as the link has forgotten it.
            down("it has closed the connection");
            return link_->forget_peer();
        }
        if (envelope.type != FrameType::message || !up_) return;
        auto message = pipe::decode_message(envelope, frames, limits_);
        if (!message) return callbacks_.on_bad(envelope.topic, envelope.id, message.error());
        auto meant = from_pipe(std::move(*message));
        if (!meant) return callbacks_.on_bad(envelope.topic, envelope.id, meant.error());
        callbacks_.on_message(std::move(*meant), envelope.id, envelope.request_id);
    }

    MeetingPlace place_;
    const TcpAddress tcp_;
    const wire::Limits limits_;
    const bool listens_;
    const Callbacks callbacks_;
    const std::string session_ = random_run_id();
    std::optional<EventLoop> loop_;
    std::unique_ptr<pipe::PipeLink> link_;
    bool up_ = false;
    std::uint64_t connection_ = 0;
    std::string peer_;
    std::string why_down_ = "nobody is there";
    std::thread thread_;
};

Endpoint::Endpoint(std::unique_ptr<Core> core) : core_(std::move(core)) {}
Endpoint::~Endpoint() = default;

tl::expected<std::unique_ptr<Endpoint>, std::string> Endpoint::listen(const MeetingPlace& place, const TcpAddress& tcp,
                                                                      const wire::Limits& limits, Callbacks callbacks) {
    if (auto lack = lack_of_threads(1)) return tl::unexpected(std::move(*lack));
    auto core = std::make_unique<Core>(place, tcp, limits, true, std::move(callbacks));
    if (auto error = core->open(); !error.empty()) return tl::unexpected(std::move(error));
    return std::unique_ptr<Endpoint>(new Endpoint(std::move(core)));
}

tl::expected<std::unique_ptr<Endpoint>, std::string> Endpoint::connect(const MeetingPlace& place, const TcpAddress& tcp,
                                                                       const wire::Limits& limits,
                                                                       Callbacks callbacks) {
    if (auto lack = lack_of_threads(1)) return tl::unexpected(std::move(*lack));
    auto core = std::make_unique<Core>(place, tcp, limits, false, std::move(callbacks));
    if (auto error = core->open(); !error.empty()) return tl::unexpected(std::move(error));
    return std::unique_ptr<Endpoint>(new Endpoint(std::move(core)));
}

void Endpoint::start() { core_->start(); }
EventLoop& Endpoint::loop() { return core_->loop(); }
void Endpoint::post(std::function<void()> work) { core_->loop().post(std::move(work)); }

tl::expected<Outgoing, std::string> Endpoint::encode(ExchangeMessage message, std::string request_id) const {
    const bool sign = is_sign(message);
    auto encoded = pipe::encode(to_pipe(std::move(message), std::move(request_id)), core_->limits());
    if (!encoded) return tl::unexpected(encoded.error());
    std::size_t bytes = 0;
    for (const auto& frame : encoded->frames) bytes += frame.bytes.size();
    return Outgoing{std::move(*encoded), sign, bytes};
}

bool Endpoint::send(const Outgoing& message) { return core_->send(message); }

bool Endpoint::send(ExchangeMessage message, std::string request_id) {
    const auto outgoing = encode(std::move(message), std::move(request_id));
    if (!outgoing) {
        log::error("a message of the exchange cannot be sent: " + outgoing.error());
        return false;
    }
    return send(*outgoing);
}

bool Endpoint::up() const noexcept { return core_->up(); }
std::uint64_t Endpoint::connection() const noexcept { return core_->connection(); }
const std::string& Endpoint::peer() const noexcept { return core_->peer(); }
const std::string& Endpoint::why_down() const noexcept { return core_->why_down(); }
void Endpoint::connect_anew(const Secret& key) { core_->connect_anew(key); }
const Secret& Endpoint::key() const noexcept { return core_->key(); }
std::uint64_t Endpoint::rejected() const { return core_->rejected(); }

}  // namespace rankexec::exchange
