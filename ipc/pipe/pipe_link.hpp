// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/pipe/pipe_codec.hpp"
#include "rankexec/ipc/transport/transport_client.hpp"
#include "rankexec/ipc/transport/transport_server.hpp"

namespace rankexec::pipe {

/// The two connections of a ZeroMQ pipe: one for messages, one for what is small and must not wait behind them.
enum class Lane : std::uint8_t { messages = 0, signs = 1 };
inline constexpr std::array kLanes{Lane::messages, Lane::signs};

/// One end's connections to exactly one peer, which both sides have greeted. Lives on one EventLoop.
class RANKEXEC_EXPORT PipeLink {
public:
    struct Callbacks {
        /// Both lanes are up, for the first time or again; what was sent before may be lost.
        std::function<void()> on_ready;
        /// From the peer, but for greetings.
        std::function<void(const Envelope&, std::vector<wire::Frame>&&)> on_frames;
        /// What is wrong with something that a peer with credentials has sent.
        std::function<void(const std::string&)> on_bad;
        /// A lane is down. `final`: nobody is there any more who could come back.
        std::function<void(bool final, const std::string& why)> on_lost;
    };
    virtual ~PipeLink() = default;

    [[nodiscard]] virtual bool ready() const noexcept = 0;
    /// False when there is no connection; on_ready comes when there is one again.
    virtual bool send(Lane lane, const std::vector<wire::Frame>& frames) = 0;
    /// The peer has said bye: whoever comes next is welcome.
    virtual void forget_peer() = 0;
    [[nodiscard]] virtual std::uint64_t rejected() const = 0;
    /// The peer's session; empty before it has greeted.
    [[nodiscard]] virtual const std::string& peer() const noexcept = 0;
};

/// Listens. One peer at a time; another one waits until the first has gone.
class RANKEXEC_EXPORT PassiveLink final : public PipeLink {
public:
    [[nodiscard]] static tl::expected<std::unique_ptr<PassiveLink>, Failure> open(
        EventLoop& loop, const TransportServer::Options& options, std::string session, Callbacks callbacks);
    /// Over a server that is there already, on that loop, and has no callbacks yet.
    PassiveLink(EventLoop& loop, std::unique_ptr<TransportServer> server, std::string session, Callbacks callbacks);
    ~PassiveLink() override;

    [[nodiscard]] std::string credentials() const { return server_->bootstrap().for_rank(0).to_text(); }
    [[nodiscard]] bool ready() const noexcept override { return ready_; }
    bool send(Lane lane, const std::vector<wire::Frame>& frames) override;
    void forget_peer() override;
    [[nodiscard]] std::uint64_t rejected() const override { return rejected_ + server_->refused_handshakes(); }
    [[nodiscard]] const std::string& peer() const noexcept override { return peer_; }

private:
    using Routes = std::array<std::string, kLanes.size()>;  ///< by lane; empty: not connected

    void on_message(Lane lane, const std::string& route, std::vector<wire::Frame>&& frames);
    void on_hello(Lane lane, const std::string& route, const std::string& session);
    void on_disconnect();
    void look();
    [[nodiscard]] bool peer_lives();
    void reject(Lane lane, const std::string& route);
    void admit_waiting();

    EventLoop& loop_;
    std::unique_ptr<TransportServer> server_;
    std::string session_;
    Callbacks callbacks_;
    std::string peer_;  ///< its session
    Routes routes_;
    bool ready_ = false;
    std::map<std::string, Routes> waiting_;  ///< by session
    EventLoop::TimerId next_look_ = 0;
    std::chrono::milliseconds pause_{0};  ///< before the next look
    std::uint64_t rejected_ = 0;
};

/// Connects, and connects again. With Reach::whenever nobody's absence is final.
class RANKEXEC_EXPORT ActiveLink final : public PipeLink {
public:
    [[nodiscard]] static tl::expected<std::unique_ptr<ActiveLink>, Failure> open(
        EventLoop& loop, const Bootstrap& bootstrap, std::chrono::milliseconds timeout, std::string session,
        Callbacks callbacks, TransportClient::Reach reach = TransportClient::Reach::now);
    ~ActiveLink() override;

    [[nodiscard]] bool ready() const noexcept override { return greeted_[0] && greeted_[1]; }
    bool send(Lane lane, const std::vector<wire::Frame>& frames) override;
    void forget_peer() override {}
    [[nodiscard]] std::uint64_t rejected() const override { return rejected_; }
    [[nodiscard]] const std::string& peer() const noexcept override { return peer_; }

private:
    ActiveLink(std::string session, Callbacks callbacks, bool local)
        : session_(std::move(session)), callbacks_(std::move(callbacks)), local_(local) {}
    [[nodiscard]] TransportClient::Callbacks client_callbacks();
    void on_message(Lane lane, std::vector<wire::Frame>&& frames);

    std::string session_;
    Callbacks callbacks_;
    bool local_;
    std::string peer_;
    std::array<bool, kLanes.size()> connected_{};    ///< and we have greeted
    std::array<bool, kLanes.size()> turned_away_{};  ///< by somebody, since the last attempt
    std::array<bool, kLanes.size()> greeted_{};      ///< by the peer
    std::array<bool, kLanes.size()> fresh_{};        ///< greeted since a connection was lost the last time
    /// Messages of a peer that is ready already, while its greeting on the other lane is still on the way.
    std::vector<std::pair<Envelope, std::vector<wire::Frame>>> early_;
    std::uint64_t rejected_ = 0;
    std::unique_ptr<TransportClient> client_;
};

}  // namespace rankexec::pipe
