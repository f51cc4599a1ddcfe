// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/shareable.hpp"
#include "rankexec/ipc/transport/credentials.hpp"
#include "rankexec/ipc/wire/limits.hpp"

/// One process that listens and many that connect to it, for as long as they like: requests with replies in all
/// directions, also between two that connect, by way of the one that listens. CURVE both ways: who connects knows the
/// hub's public key, and the hub knows each peer by its own. PROTOCOL.md in this folder is normative.
namespace rankexec::hub {

/// Peers are called "controller" (the hub itself), "site/NAME", "user/NAME", "run/JOB/PARTICIPANT".
inline constexpr const char* kHubName = "controller";

/// A reply, or why there is none: ReturnCode task_timeout (no answer in time), not_ready (no such peer is connected),
/// bad_request_data (nobody takes that topic, or a limit is exceeded), task_aborted (this end was closed).
using Reply = tl::expected<Shareable, Failure>;

/// What a request is answered with. May be called on any thread, once, now or later; a second call is nothing. When it
/// is destroyed uncalled, the peer gets bad_request_data.
using Answer = std::function<void(Shareable)>;

struct Request {
    std::string from;   ///< as the hub knows that peer; nobody can claim another's name
    std::string topic;  ///< [A-Za-z0-9_]+, at most 64
    Shareable content;
};

/// What both ends have in common. Any thread may call everything; callbacks run on the end's own thread, one at a time,
/// and must not block.
class RANKEXEC_EXPORT HubEnd {
public:
    using Milliseconds = std::chrono::milliseconds;
    using Handler = std::function<void(Request&&, Answer)>;
    using OnReply = std::function<void(Reply&&)>;

    virtual ~HubEnd();

    /// Before start(). A request is handled once, however often its frames come: answers are remembered for a while.
    virtual void handle(const std::string& topic, Handler handler) = 0;

    /// Sends a request to the peer and calls back once with its reply. Over a lost connection it is sent again, within
    /// its time, as the same request.
    virtual void request(const std::string& to, const std::string& topic, Shareable content, Milliseconds timeout,
                         OnReply on_reply) = 0;
    /// Waits for it. Not on the end's own thread.
    [[nodiscard]] Reply ask(const std::string& to, const std::string& topic, Shareable content, Milliseconds timeout);
    /// No reply is wanted, and nobody learns whether it has come.
    virtual void tell(const std::string& to, const std::string& topic, Shareable content) = 0;

    /// Runs a function on the end's own thread. After close() it is dropped.
    virtual void post(std::function<void()> work) = 0;
    virtual void start() = 0;
    /// Ends the thread; requests that are under way fail. Idempotent. Not on the end's own thread.
    virtual void close() = 0;
};

using PublicKey = PeerCredentials::Key;
using KeyPair = PeerCredentials::KeyPair;

/// The end that listens.
class RANKEXEC_EXPORT HubServer : public HubEnd {
public:
    struct Options {
        /// ZeroMQ endpoints: "tcp://*:9000", "tcp://127.0.0.1:*", "ipc:///path". At least one.
        std::vector<std::string> listen;
        KeyPair keys;
        wire::Limits limits;
        Milliseconds heartbeat_interval{1'000};
        /// After so long without an answer of its kernel a peer's connection is lost. After which silence of its
        /// process it is, the peer says: its own gone_after.
        Milliseconds gone_after{5'000};
        std::function<void(const std::string& peer)> on_connected;
        std::function<void(const std::string& peer, const std::string& why)> on_lost;
        /// Whether one peer may speak to another; the hub itself may always be spoken to. Not set: only runs of the
        /// same job.
        std::function<bool(const std::string& from, const std::string& to)> may_relay;
    };
    /// The Failure names the endpoint that cannot be listened at.
    [[nodiscard]] static tl::expected<std::unique_ptr<HubServer>, Failure> make(Options options);

    /// With the port in the place of "*".
    [[nodiscard]] virtual std::vector<std::string> endpoints() const = 0;
    /// Whoever proves to have this key's secret is `peer` from now on. Replaces the peer's key.
    virtual void allow(const std::string& peer, const PublicKey& key) = 0;
    /// And no more; its connection is closed.
    virtual void forbid(const std::string& peer) = 0;
    [[nodiscard]] virtual bool connected(const std::string& peer) const = 0;
    [[nodiscard]] virtual std::vector<std::string> peers() const = 0;  ///< that are connected, sorted
    [[nodiscard]] virtual std::uint64_t refused() const = 0;           ///< handshakes and messages
};

/// An end that connects, and connects again.
class RANKEXEC_EXPORT HubClient : public HubEnd {
public:
    struct Options {
        std::string connect;  ///< a ZeroMQ endpoint
        PublicKey hub_key{};
        KeyPair keys;
        wire::Limits limits;
        Milliseconds heartbeat_interval{1'000};
        Milliseconds gone_after{5'000};      ///< silence after which the connection is lost, on both sides
        std::function<void()> on_connected;  ///< for the first time or again
        std::function<void(const std::string& why)> on_lost;  ///< once for each on_connected
        std::function<void(const std::string& why)>
            on_refused;  ///< the hub does not know this key, or speaks otherwise
    };
    [[nodiscard]] static tl::expected<std::unique_ptr<HubClient>, Failure> make(Options options);

    [[nodiscard]] virtual bool connected() const = 0;
    /// Waits until it is connected or refused; false: neither in time.
    [[nodiscard]] virtual bool wait_connected(Milliseconds timeout) = 0;
    /// As the hub calls this peer; empty before it was connected.
    [[nodiscard]] virtual std::string name() const = 0;
};

}  // namespace rankexec::hub
